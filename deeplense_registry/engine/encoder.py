"""A trained encoder outside its run: saved without pickles, rebuilt by name, used on flux as it comes."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from typing import Any

import attrs
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..components import ImageShape, PluginError, UserError
from ..interfaces import Backbone, Features
from ..shards.atomic import replacing, write_json
from ..spec import Instance
from ..views import Scaling
from .build import build
from .checkpoint import sha256
from .folder import RunFolder, read_json

FORMAT = 1


class Encoder(nn.Module):
    """A backbone behind the scaling it was trained with: flux in, features out.

    Attributes:
        backbone: The network.
        scaling: What happens to flux before it.
        card: How it came to be: backbone, plugins, shape, bands, pixel scale, data set, digests; of an export also the
            run's name, method and measurements.
    """

    def __init__(self, backbone: Backbone, scaling: Scaling, card: dict[str, Any]) -> None:
        """Put the parts together."""
        super().__init__()
        self.backbone, self.scaling, self.card = backbone, scaling, card

    @property
    def shape(self) -> ImageShape:
        """Of the images it was trained on; it takes other heights and widths, not other bands."""
        return ImageShape(**self.card["shape"])

    @property
    def device(self) -> torch.device:
        """Where it computes: the CPU where it has no weights that could lie elsewhere."""
        return next((weight.device for weight in chain(self.parameters(), self.buffers())), torch.device("cpu"))

    def forward(self, images: Tensor) -> Features:
        """Features of flux images (B, C, H, W), in the units of the training images."""
        return self.backbone(self.scaling(images))


def save_encoder(
    folder: RunFolder,
    backbone: Backbone,
    instance: Instance,
    shape: ImageShape,
    scaling: Scaling,
    about: dict[str, Any],
) -> None:
    """Write ``encoder.safetensors`` and, after it, ``card.json``, which holds its checksum.

    Raises:
        UserError: The disk refuses; nothing is left half-written.
    """
    state = {name: value.detach().cpu().contiguous() for name, value in sorted(backbone.state_dict().items())}
    try:
        with replacing(folder.encoder) as aside:
            save_file(state, aside)
            checksum = sha256(aside)
        card = {
            "format": FORMAT,
            "sha256": checksum,
            "backbone": {"use": instance.use, "options": architecture(instance)},
            "plugins": plugins(instance),
            "shape": attrs.asdict(shape),
            "width": backbone.width,
            "scaling": scaling.as_json(),
            **about,
        }
        write_json(folder.card, card)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{folder.encoder}: cannot write the encoder: {error}; free the disk and run again") from error


def architecture(instance: Instance) -> dict[str, Any]:
    """A backbone's options without the file its weights began from: they are replaced, wherever that file is now."""
    return {name: value for name, value in instance.document.items() if name not in ("use", "weights")}


def plugins(instance: Instance) -> dict[str, str]:
    """The distribution that provides a component, and its version: what must be installed to build it."""
    return {} if instance.row is None else {instance.row.found.distribution: instance.row.found.version}


def load_encoder(path: str | Path) -> Encoder:
    """The encoder of a run, or of an export, on the CPU, in evaluation mode.

    Args:
        path: The folder, or the ``encoder.safetensors`` in it.

    Raises:
        UserError: There is none, it is damaged, or of another version.
        PluginError: Its backbone's plugin is missing; the message names the pip command.
    """
    folder = RunFolder(Path(path).parent if Path(path).suffix == ".safetensors" else Path(path))
    card = read_json(folder.card)
    if card is None or not folder.encoder.exists():
        raise UserError(f"{folder.path}: no encoder here; give the folder of a finished run, or of an export")
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        found = card.get("format") if isinstance(card, dict) else None
        raise UserError(f"{folder.card}: format {found}, but this version reads {FORMAT}")
    if sha256(folder.encoder) != card.get("sha256"):
        raise UserError(
            f"{folder.encoder}: damaged (its checksum is not the card's); copy it anew, or run the spec again"
        )
    try:
        return _built(folder, card).eval()
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder.card}: damaged ({error!r}); copy it anew, or run the spec again") from error


def _built(folder: RunFolder, card: dict[str, Any]) -> Encoder:
    shape = ImageShape(**card["shape"])
    try:
        with torch.random.fork_rng(devices=[]):  # the fresh weights that load_state_dict replaces
            backbone: Backbone = build("backbone", card["backbone"]["use"], card["backbone"]["options"], shape=shape)
    except PluginError as error:
        raise PluginError(_missing(folder, card) or f"{folder.card}: {error}") from error
    try:
        backbone.load_state_dict(load_file(folder.encoder))
    except (RuntimeError, SafetensorError) as error:
        raise UserError(
            f"{folder.encoder}: does not fit the installed backbone {card['backbone']['use']!r}, which is another "
            f"version than it was trained with ({_named(card.get('plugins', {}))}): {error}"
        ) from error
    return Encoder(backbone, Scaling.from_json(card["scaling"]), card)


def _missing(folder: RunFolder, card: dict[str, Any]) -> str:
    """What to install, where a plugin of the card is not installed."""
    absent = {}
    for name, its_version in card.get("plugins", {}).items():
        try:
            version(name)
        except PackageNotFoundError:
            absent[name] = its_version
    return f"{folder.path}: the encoder needs {_named(absent)}: pip install {' '.join(absent)}" if absent else ""


def _named(distributions: dict[str, str]) -> str:
    return " and ".join(f"{name} {its_version}" for name, its_version in distributions.items())
