"""``deeplense shards build|info|verify``: images made ready for training, looked at, and checked."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .progress import counting

if TYPE_CHECKING:
    from ..shards import Manifest
    from ..spec import Instance


def add(parsers: Any) -> None:
    """Register the verb."""
    parser = parsers.add_parser("shards", help="build, show or verify the shards of a data set")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    building = actions.add_parser("build", help="write the shards of every dataset of a spec, or copy others' tars")
    building.add_argument("spec", type=Path, nargs="?", metavar="SPEC", help="a TOML file")
    building.add_argument("--from", dest="source", metavar="TARS", help="rewrite WebDataset tars, or copy from a URL")
    building.add_argument("--pixel-scale", type=float, metavar="ARCSEC", help="of TARS that have no manifest")
    building.add_argument("--bands", default="", metavar="A,B", help="names of the bands of TARS")
    building.add_argument("--classes", default="", metavar="A,B", help="names of the classes of TARS, in order")
    building.add_argument("--out", type=Path, metavar="DIR", help="where to (by default the cache)")
    building.add_argument("--processes", type=int, default=1, metavar="N", help="how many read the source at once (1)")
    building.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a key of the spec")
    building.set_defaults(call=build)
    for name, call, about in (
        ("info", info, "the card, splits, sizes and statistics"),
        ("verify", verify, "hash every shard and check every image"),
    ):
        action = actions.add_parser(name, help=about)
        action.add_argument("folder", type=Path, metavar="DIR", help="a folder of shards")
        action.set_defaults(call=call)


def build(arguments: argparse.Namespace) -> int:
    """Write the shards of every dataset of the spec, or those of ``--from``, or finish them; prints their folders."""
    from ..components import UserError
    from ..shards import materialise
    from ..spec import expand, load_spec

    if arguments.processes < 1:
        raise UserError(f"--processes {arguments.processes}: give 1 or more")
    if (arguments.spec is None) == (arguments.source is None):
        raise UserError("give a spec, or --from TARS with --out DIR")
    if arguments.source is None:
        datasets = {cell.dataset.name: cell.dataset for cell in expand(load_spec(arguments.spec, arguments.set))}
    else:
        datasets = {"shards": _foreign(arguments)}
    for dataset in datasets.values():
        folder = _folder(arguments.out, dataset, len(datasets))
        with counting(dataset.name) as progress:
            print(materialise(dataset, processes=arguments.processes, folder=folder, progress=progress))
    return 0


def _foreign(arguments: argparse.Namespace) -> Instance:
    """What ``--from`` names, as a spec would."""
    from ..components import UserError
    from ..spec import Instance, ShardsOptions

    if arguments.out is None:
        raise UserError(f"--from {arguments.source}: say where to with --out DIR")
    bands, classes = (tuple(filter(None, names.split(","))) for names in (arguments.bands, arguments.classes))
    try:
        options = ShardsOptions(path=arguments.source, pixel_scale=arguments.pixel_scale, bands=bands, classes=classes)
    except ValueError as error:
        raise UserError(f"--from {arguments.source}: {error}") from error
    return Instance(name="shards", use="shards", row=None, options=options)


def info(arguments: argparse.Namespace) -> int:
    """What a folder of shards holds."""
    from ..shards import read_manifest, refuse_command

    refuse_command(str(arguments.folder))
    for name, value in _facts(read_manifest(arguments.folder)):
        print(f"{name:12} {value}")
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """Hash every shard anew and check every image; 2 where something is damaged."""
    from ..shards import damages, read_manifest, refuse_command

    refuse_command(str(arguments.folder))
    manifest = read_manifest(arguments.folder)
    found = [damage for shard in manifest.shards for damage in damages(arguments.folder, shard, manifest)]
    for damage in found:
        print(damage)
    if not found:
        print(f"{arguments.folder}: {len(manifest.shards)} shards, all as they were written")
    return 2 if found else 0


def _folder(out: Path | None, dataset: Instance, datasets: int) -> Path | None:
    return out if out is None or datasets == 1 else out / dataset.name


def _facts(manifest: Manifest) -> Iterator[tuple[str, str]]:
    card, statistics = manifest.card, manifest.statistics
    yield "name", card.name
    yield "image", f"{' x '.join(map(str, manifest.image_shape))} {manifest.dtype}"
    yield "bands", ", ".join(card.bands)
    yield "pixel scale", f"{card.pixel_scale:g} arcsec"
    for name, target in card.targets.items():
        yield "target", f"{name}: {', '.join(target.classes) or target.unit or 'a number'}"
    for split, shards in manifest.splits.items():
        size = sum(shard.bytes for shard in shards) / 2**20
        yield split, f"{card.splits[split]} images in {len(shards)} shards, {size:.1f} MiB"
    for band, mean, std, low, high in zip(
        card.bands, statistics.mean, statistics.std, statistics.min, statistics.max, strict=True
    ):
        yield "statistics", f"{statistics.split} {band}: mean {mean:.6g}, std {std:.6g}, {low:.6g} to {high:.6g}"
    yield "digest", manifest.digest
    for name in ("licence", "citation", "about"):
        if text := getattr(card, name):
            yield name, text
