"""A trained encoder outside its run: saved without pickles, rebuilt by name, used on flux as it comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..components import ImageShape, UserError
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
        card: How it came to be: backbone, shape, bands, data set, digests.
    """

    def __init__(self, backbone: Backbone, scaling: Scaling, card: dict[str, Any]) -> None:
        """Put the parts together."""
        super().__init__()
        self.backbone, self.scaling, self.card = backbone, scaling, card

    @property
    def shape(self) -> ImageShape:
        """Of the images it was trained on; it takes other heights and widths, not other bands."""
        return ImageShape(**self.card["shape"])

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


def load_encoder(path: str | Path) -> Encoder:
    """The encoder of a finished run, in evaluation mode.

    Args:
        path: The run's folder, or the ``encoder.safetensors`` in it.

    Raises:
        UserError: There is none, it is damaged, or of another version.
        PluginError: Its backbone's plugin is missing; the message names the pip command.
    """
    folder = RunFolder(Path(path).parent if Path(path).suffix == ".safetensors" else Path(path))
    card = read_json(folder.card)
    if card is None or not folder.encoder.exists():
        raise UserError(f"{folder.path}: no encoder here; give the folder of a finished run")
    if card.get("format") != FORMAT:
        raise UserError(f"{folder.card}: format {card.get('format')}, but this version reads {FORMAT}")
    if sha256(folder.encoder) != card["sha256"]:
        raise UserError(f"{folder.encoder}: damaged (its checksum is not the card's); run the spec again")
    torch_state = load_file(folder.encoder)
    shape = ImageShape(**card["shape"])
    with torch.random.fork_rng(devices=[]):  # the fresh weights that load_state_dict replaces
        backbone: Backbone = build("backbone", card["backbone"]["use"], card["backbone"]["options"], shape=shape)
    backbone.load_state_dict(torch_state)
    return Encoder(backbone, Scaling.from_json(card["scaling"]), card).eval()
