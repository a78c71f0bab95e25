"""From a name to a model of timm, fitted to bands and image size."""

from __future__ import annotations

import difflib
import inspect
import itertools
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models.resnet import ResNet
from torch import nn

from deeplense_registry import ImageShape, UserError


def create(name: str, shape: ImageShape, *, drop_path: float, weights: str | None) -> Any:
    """The model ``name`` without its classifier, for images of ``shape``.

    The size goes to the models that ask for one, with the request to take other sizes too where they can.

    Raises:
        UserError: timm has no such model, it takes no stochastic depth, or the weights are not its own.
    """
    known = timm.list_models()
    if name not in known:
        close = difflib.get_close_matches(name.partition(".")[0], known, n=3)
        hint = f"did you mean {', '.join(close)}?" if close else "timm.list_models() names them all"
        raise UserError(f'timm has no model "{name}"; {hint}')
    accepted = _arguments(name)
    if drop_path > 0.0 and "drop_path_rate" not in accepted:
        raise UserError(f"timm's {name} has no stochastic depth; leave drop_path at 0")
    arguments = {
        "img_size": (shape.height, shape.width),
        "dynamic_img_size": True,
        "dynamic_img_pad": True,
        "drop_path_rate": drop_path,
    }
    fitting = {key: value for key, value in arguments.items() if key in accepted}
    if weights is not None:
        return _load(name, Path(weights), in_chans=shape.channels, **fitting)
    return timm.create_model(name, pretrained=False, in_chans=shape.channels, num_classes=0, **fitting)


def _arguments(name: str) -> set[str]:
    """The constructor arguments of a model; it is built without memory to see which class it is."""
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=0)
    return {key for base in type(model).__mro__[:-1] for key in inspect.signature(base).parameters}


def _load(name: str, path: Path, **arguments: Any) -> Any:
    """The model with the weights of a file, which timm fits to the bands and the size."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the weights of timm's {name}")
    source = {"file": str(path), "custom_load": False}  # a file goes before any address that timm knows
    try:
        model = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=source, **arguments)
    except Exception as error:  # a foreign file: timm, torch and safetensors raise as it comes
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(f"{path}: not the weights of timm's {name}: {reason}") from error
    model.reset_classifier(0)  # now: with num_classes=0 timm would let names be missing
    return model


def shrink_stem(model: nn.Module) -> bool:
    """Fit a ResNet of timm to small images; True if the model is one.

    timm's own arguments (``stem_type``, ``replace_stem_pool``) keep the stride of 4, so modules are replaced: a first
    convolution of 7x7 becomes one of 3x3, still of stride 2, and the max pool goes. Grids get twice the side.
    """
    if not isinstance(model, ResNet):
        return False
    first = model.conv1
    if isinstance(first, nn.Conv2d):
        model.conv1 = nn.Conv2d(first.in_channels, first.out_channels, 3, stride=2, padding=1, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.maxpool = nn.Identity()
    for stage in model.feature_info[1:]:
        stage["reduction"] //= 2
    return True


def convolve_stem(model: nn.Module, name: str) -> None:
    """Give a vision transformer of timm a convolutional stem, for the same tokens from the same patches.

    As many 3x3 convolutions of stride 2 as halvings make a patch, each with batch norm and ReLU, their width doubling
    up to the tokens'; then a 1x1 convolution (Xiao et al. 2021, arXiv:2106.14881, section 4).

    Raises:
        UserError: The model cuts no patches, or its patches' side is no power of two.
    """
    patches = getattr(model, "patch_embed", None)
    first = getattr(patches, "proj", None)
    if not isinstance(first, nn.Conv2d) or first.kernel_size != first.stride:
        raise UserError(f"timm's {name} cuts no patches: leave conv_stem = false")
    halvings = first.stride[0].bit_length() - 1
    if first.stride != (2**halvings,) * 2 or not halvings:
        raise UserError(f"timm's {name} has patches of {first.stride}: conv_stem halves, and needs a power of two")
    widths = [first.in_channels, *(first.out_channels >> (halvings - n) for n in range(1, halvings + 1))]
    layers: list[nn.Module] = []
    for inner, outer in itertools.pairwise(widths):
        layers += [nn.Conv2d(inner, outer, 3, 2, 1, bias=False), nn.BatchNorm2d(outer), nn.ReLU(inplace=True)]
    patches.proj = nn.Sequential(*layers, nn.Conv2d(widths[-1], first.out_channels, 1))  # type: ignore[union-attr]
