"""Weights of a file in the layout of the official checkpoints."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from deeplense_registry import UserError

_OFFICIAL = tuple(
    (re.compile(ours), official)
    for ours, official in (
        (r"^stages\.(\d)\.", r"stage\1."),
        (r"\.cls$", ".cls_token"),
        (r"\.embedding\.conv\.", ".patch_embed.proj."),
        (r"\.embedding\.norm\.", ".patch_embed.norm."),
        (r"\.attention_norm\.", ".norm1."),
        (r"\.mlp_norm\.", ".norm2."),
        (r"\.mlp\.0\.", ".mlp.fc1."),
        (r"\.mlp\.2\.", ".mlp.fc2."),
        (r"\.attention\.(q|k|v)\w+\.conv\.", r".attn.conv_proj_\1.conv."),
        (r"\.attention\.(q|k|v)\w+\.norm\.", r".attn.conv_proj_\1.bn."),
        (r"\.attention\.(q|k|v)\w+\.linear\.", r".attn.proj_\1."),
        (r"\.attention\.proj\.", ".attn.proj."),
    )
)
_HEAD = ("head.weight", "head.bias")  # of the classifier, which a backbone has not


def official_name(name: str) -> str:
    """What a parameter or buffer of ours is called in the official files.

    ``stages.0.blocks.0.attention.query.norm.bias`` becomes ``stage0.blocks.0.attn.conv_proj_q.bn.bias``.
    """
    for pattern, replacement in _OFFICIAL:
        name = pattern.sub(replacement, name)
    return name


def load(model: nn.Module, path: Path) -> None:
    """Give ``model`` the weights of a file; the classifier in it is left out.

    Raises:
        UserError: The file cannot be read, or its names or shapes are not those of the model; the first few are named.
    """
    ours = {official_name(name): (name, value) for name, value in model.state_dict().items()}
    theirs = {name: value for name, value in read(path).items() if name not in _HEAD}
    shapes = [
        f"{name} is {tuple(theirs[name].shape)} where the model has {tuple(value.shape)}"
        for name, (_, value) in ours.items()
        if name in theirs and theirs[name].shape != value.shape
    ]
    faults = [
        f"{what} {_few(names)}"
        for what, names in (("missing", ours.keys() - theirs.keys()), ("unexpected", theirs.keys() - ours.keys()))
        if names
    ] + ([_few(shapes)] if shapes else [])
    if faults:
        raise UserError(
            f"{path}: not the weights of this model: {'; '.join(faults)}: give the file of this variant, "
            "with as many bands as the images have"
        )
    model.load_state_dict({name: theirs[official] for official, (name, _) in ours.items()})


def read(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a file by name; nothing in it is executed.

    Raises:
        UserError: There is no such file, or it holds something else.
    """
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's decoder raises whatever it stumbles on in a file that is none
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise UserError(f"{path}: cannot read weights: {reason}; give a file of tensors by name") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path}: holds no tensors by name; give the state dict alone")
    return state


def _few(names: Iterable[str], count: int = 3) -> str:
    """The first few names, and how many more there are."""
    names = sorted(names)
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more
