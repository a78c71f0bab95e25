"""Weights of a file in the layout of the official checkpoints, or in timm's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor, nn

from deeplense_registry import UserError
from deeplense_registry.blocks.weights_file import assign_weights, read_weights

from .attention import fit
from .options import Architecture

Rules = tuple[tuple[str, str], ...]

_TIMM: Rules = (
    (r"^stem\.(\d+)\.", r"stem.#\1."),
    (r"\.shrink\.attention\.", ".downsample.attn_downsample."),
    (r"\.shrink\.", ".downsample."),
    (r"\.attention\.", ".attn."),
    (r"\.mlp\.up\.", ".mlp.ln1."),
    (r"\.mlp\.down\.", ".mlp.ln2."),
    (r"\.proj\.", ".proj.ln."),
    (r"(_downsample\.q)\.", r"\1.ln."),
    (r"\.norm\.", ".bn."),
    (r"\.biases$", ".attention_biases"),
)
_OFFICIAL: Rules = (
    (r"^stem\.(\d+)\.", r"patch_embed.#\1."),
    (r"\.mlp\.up\.", ".m.0."),
    (r"\.mlp\.down\.", ".m.2."),
    (r"\.shrink\.attention\.q\.", ".shrink.attention.q.1."),
    (r"\.proj\.", ".proj.1."),
    (r"\.shrink\.attention\.", ".shrink."),
    (r"\.attention\.", ".m."),
    (r"\.linear\.", ".c."),
    (r"\.norm\.", ".bn."),
    (r"\.biases$", ".attention_biases"),
)
_UNUSED = re.compile(r"head\.|head_dist\.|.*\.attention_bias_idxs$")
"""Two classifiers, which a backbone has not, and what follows from the size of a grid."""


def timm_name(name: str) -> str:
    """What a parameter or buffer of ours is called in timm.

    ``stages.1.shrink.mlp.up.norm.bias`` becomes ``stages.1.downsample.mlp.ln1.bn.bias``.
    """
    return _stem(_renamed(name, _TIMM), lambda place: f"conv{place + 1}", "linear")


def official_name(name: str, depths: tuple[int, ...]) -> str:
    """What it is called in the official files, which count attentions and MLPs of all stages in one row.

    ``stages.1.shrink.mlp.up.norm.bias`` becomes ``blocks.5.m.0.bn.bias`` after a stage of two blocks.
    """
    renamed = _stem(_renamed(name, _OFFICIAL), lambda place: str(2 * place), "c")
    place = re.match(r"stages\.(\d)\.(shrink|blocks\.(\d+))", renamed)
    if place is None:
        return renamed
    stage, mlp = int(place[1]), int(".mlp." in name)
    first = 2 * (sum(depths[:stage]) + stage)  # of the stage's blocks; a shrink comes before
    number = first - 2 if place[3] is None else first + 2 * int(place[3])
    return f"blocks.{number + mlp}{renamed[place.end() :]}"


def load(model: nn.Module, architecture: Architecture, path: Path) -> None:
    """Give ``model`` the weights of a file; its classifiers are left out, and its bias tables made to measure.

    Raises:
        UserError: The file cannot be read, or its names or shapes are not those of the model; the first few are named.
    """

    def official(name: str) -> str:
        return official_name(name, architecture.depths)

    weights = {name: value for name, value in read_weights(path).items() if not _UNUSED.match(name)}
    layout: Callable[[str], str] = timm_name if any(name.startswith("stem.") for name in weights) else official
    tables = {layout(name): value for name, value in model.named_parameters() if name.endswith(".biases")}
    assign_weights(model, {**weights, **_tables(weights, tables, path)}, layout, path)


def _tables(weights: Mapping[str, Tensor], ours: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The file's tables (heads, side * side), of square grids, for the grids of the model (:func:`.attention.fit`)."""
    fitted = {}
    for name in ours.keys() & weights.keys():
        flat = weights[name]
        side = round(flat.shape[-1] ** 0.5)
        if flat.ndim != 2 or side * side != flat.shape[1]:
            raise UserError(f"{path}: {name} is {tuple(flat.shape)}, no table of a square grid; give a published file")
        fitted[name] = fit(flat.view(-1, side, side), *ours[name].shape[1:])
    return fitted


def _renamed(name: str, rules: Rules) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _stem(name: str, convolution: Callable[[int], str], weight: str) -> str:
    """``#n`` of the stem, where convolution, norm and activation take turns, in the words of a layout."""
    place = re.search(r"#(\d+)\.", name)
    if place is None:
        return name
    number, norm = divmod(int(place[1]), 3)
    return f"{name[: place.start()]}{convolution(number)}.{'bn' if norm else weight}.{name[place.end() :]}"
