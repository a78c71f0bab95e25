"""``deeplense equivariance``: how much do an encoder's features change when an image is turned or mirrored?"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from ..components import UserError
from .show import show
from .turning_plot import artist

if TYPE_CHECKING:
    from torch import Tensor

    from ..evaluation.equivariance import Change

_ABOUT = """\
RUN is the folder of a finished run, measured on its own test images. BACKBONE is a backbone's name as in specs, freshly
initialised, with batch norm's statistics of other such scenes; it is measured on scenes that are rendered at every
angle. NAME=BACKBONE gives it a name of your own, to which --set NAME.KEY=VALUE refers; --set KEY=VALUE is for all."""

_OTHERS = 128


def add(parsers: Any) -> None:
    """Register the verb."""
    parser = parsers.add_parser("equivariance", help="how features change as an image turns", description=_ABOUT)
    parser.add_argument("what", nargs="+", metavar="RUN-OR-BACKBONE", help="a run's folder, or a backbone's name")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of a backbone")
    parser.add_argument("--size", type=_count, default=64, metavar="N", help="of rendered scenes, in pixels (64)")
    parser.add_argument("--images", type=_several, default=64, metavar="N", help="how many, 2 or more (64)")
    parser.add_argument("--step", type=_degrees, default=15, metavar="N", help="between angles, in degrees (15)")
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a picture too: .svg, .png or .pdf")
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure each, print a table, and draw.

    Raises:
        UserError: One is neither a run nor a backbone, or matplotlib is missing where a picture is asked for.
    """
    named = dict(_named(word) for word in arguments.what)
    options = _options(arguments.set, list(named))
    draw = artist() if arguments.plot else None
    changes = {name: _measure(target, options[name], arguments) for name, target in named.items()}
    if draw:
        draw(changes, arguments.plot)
    if arguments.json:
        print(json.dumps([_row(name, named[name], change) for name, change in changes.items()], indent=1))
    else:
        _show(changes)
    return 0


def _measure(target: str, options: dict[str, Any], arguments: argparse.Namespace) -> Change:
    from ..evaluation.equivariance import feature_change

    angles = [float(angle) for angle in range(0, 361, arguments.step)]
    if not _is_run(target):
        return feature_change(*_fresh(target, options, arguments.size, arguments.images), angles)
    if options:
        raise UserError(f"{target}: a run has its options; --set is for backbones (--set NAME.KEY=VALUE for one)")
    return feature_change(*_trained(Path(target), arguments.images), angles)


def _fresh(use: str, options: dict[str, Any], size: int, count: int) -> tuple[Any, Callable[[float], Tensor]]:
    """A new backbone in evaluation mode, and its scenes."""
    import torch

    from ..components import ImageShape, derive_seed
    from ..engine import build
    from ..evaluation import estimate_statistics
    from ..evaluation.equivariance import scenes

    torch.manual_seed(derive_seed(0, "init"))
    backbone = build("backbone", use, options, shape=ImageShape(1, size, size))
    estimate_statistics(backbone, [scenes(_OTHERS, size, seed=1)])  # of those measured they would tell them apart
    backbone.eval()
    return lambda images: backbone(images).pooled, partial(scenes, count, size)


def _trained(folder: Path, count: int) -> tuple[Any, Callable[[float], Tensor]]:
    """A run's encoder, and the first of its test images."""
    import numpy as np
    import torch

    from ..engine import load_encoder
    from ..evaluation.equivariance import turned
    from ..shards import ShardSet, materialise
    from ..spec import load_spec

    encoder = load_encoder(folder)
    (dataset,) = load_spec(folder / "spec.toml").dataset
    shards = ShardSet.open(materialise(dataset, processes=1))
    flux = shards.images("test", np.arange(min(count, shards.count("test"))))
    images = torch.tensor(flux[:, 0] if flux.ndim == 5 else flux, dtype=torch.float32)  # of partners the first
    return lambda batch: encoder(batch).pooled, partial(turned, images)


def _is_run(target: str) -> bool:
    return "/" in target or Path(target).is_dir()


def _named(word: str) -> tuple[str, str]:
    """``NAME=TARGET``, or a target that names itself."""
    name, equals, target = word.partition("=")
    return (name, target) if equals else (word, word)


def _options(sets: Sequence[str], names: list[str]) -> dict[str, dict[str, Any]]:
    """For each name what ``--set`` gives it.

    Raises:
        SpecError: One is not of the form KEY=VALUE.
    """
    from ..spec.merge import override
    from ..spec.sources import parse_override

    options: dict[str, dict[str, Any]] = {name: {} for name in names}
    for text in sets:
        (first, *rest), value = parse_override(text)
        path, whom = (rest, [first]) if rest and first in options else ([first, *rest], names)
        for name in whom:
            options[name] = override(options[name], path, value)
    return options


def _row(name: str, target: str, change: Change) -> dict[str, Any]:
    return {
        "name": name,
        "target": target,
        "angles": change.angles,
        "turned": change.turned,
        "elements": dict(change.elements),
    }


def _show(changes: dict[str, Change]) -> None:
    from rich.table import Table

    title = "Change of features, in units of their mean distance between two images"
    table = Table(header_style="bold", title=title, title_justify="left")
    for name in ("", "turned, median", "turned, largest", "quarter turns", "mirror", "D4, largest"):
        table.add_column(name, justify="right" if name else "left")
    for name, change in changes.items():
        quarters = max(change.elements[f"turn {angle}"] for angle in (90, 180, 270))
        turns = [value for angle, value in zip(change.angles, change.turned, strict=True) if angle % 360]
        values = (median(turns), max(turns), quarters, change.elements["mirror"], max(change.elements.values()))
        table.add_row(name, *(f"{value:.2g}" for value in values))
    show(table)


def _count(text: str) -> int:
    return _whole(text, 1, 100_000)


def _several(text: str) -> int:
    return _whole(text, 2, 100_000)


def _degrees(text: str) -> int:
    return _whole(text, 1, 180)


def _whole(text: str, low: int, high: int) -> int:
    """A whole number in a range.

    Raises:
        ArgumentTypeError: It is none.
    """
    if not text.isdecimal() or not low <= int(text) <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {low} to {high}")
    return int(text)
