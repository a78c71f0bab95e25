"""``deeplense data card``: what the images are, in numbers and in one picture."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from .progress import counting
from .show import show

if TYPE_CHECKING:
    from rich.table import Table

    from ..spec import Instance, SkewTable

_ABOUT = """\
The numbers go to the terminal, and examples of each class with a histogram of each target to a picture,
./NAME-card.png unless --out says otherwise. Shards that are not there yet are built."""

WIDTH = 110
"""Columns of the texts."""


def add(parsers: Any) -> None:
    """Register the verb."""
    verbs = parsers.add_parser("data", help="look at the data").add_subparsers(metavar="VERB", required=True)
    parser = verbs.add_parser("card", help="counts, targets and statistics, and a picture", description=_ABOUT)
    parser.add_argument("what", metavar="SPEC|DIR", help="a spec (its every data set), or a folder or URL of shards")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a key of the spec")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the picture: .png, .pdf or .svg (./NAME-card.png)")
    parser.add_argument("--no-picture", action="store_true", help="the numbers alone")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="how many build shards at once (1)")
    parser.add_argument("--json", action="store_true", help="for scripts: a list of cards")
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the card of each data set, and draw it.

    Raises:
        UserError: The spec is wrong, the shards cannot be built, or matplotlib is missing where a picture is asked for.
    """
    from ..engine.contact_sheet import check_drawing

    datasets, skew = _datasets(arguments.what, arguments.set)
    pictures = {one.name: _picture(arguments, one.name, len(datasets)) for one in datasets}
    for picture in filter(None, pictures.values()):
        check_drawing(picture)
    cards = [_card(one, skew, pictures[one.name], arguments.processes) for one in datasets]
    if arguments.json:
        print(json.dumps(cards, indent=1))
    else:
        for card in cards:
            _show(card)
    return 0


def _datasets(what: str, sets: list[str]) -> tuple[list[Instance], SkewTable | None]:
    """The data sets of a spec with its skew, or the one that lies in a folder or behind a URL."""
    from ..components import UserError
    from ..spec import Instance, ShardsOptions, expand, load_spec

    if what.endswith(".toml"):
        spec = load_spec(Path(what), sets)
        return list({cell.dataset.name: cell.dataset for cell in expand(spec)}.values()), spec.skew
    if sets:
        raise UserError(f"{what}: --set is for specs; shards are as they are")
    try:
        options = ShardsOptions(path=what)
    except ValueError as error:
        raise UserError(f"{what}: {error}") from error
    return [Instance(name=Path(what).resolve().name, use="shards", row=None, options=options)], None


def _picture(arguments: argparse.Namespace, name: str, datasets: int) -> Path | None:
    """Where the picture of a data set goes; each of several has its name in it."""
    if arguments.no_picture:
        return None
    out: Path | None = arguments.out
    if out is None:
        return Path(f"{name}-card.png")
    return out if datasets == 1 else out.with_stem(f"{out.stem}-{name}")


def _card(dataset: Instance, skew: SkewTable | None, picture: Path | None, processes: int) -> dict[str, Any]:
    from ..engine.contact_sheet import contact_sheet
    from ..engine.data_card import data_card
    from ..evaluation import kept_images
    from ..shards import ShardSet, materialise

    with counting(dataset.name) as progress:
        folder = materialise(dataset, processes=processes, progress=progress)
    shards = ShardSet.open(folder)
    card = data_card(shards, skew)
    if picture is not None:
        contact_sheet(shards, picture, None if skew is None else kept_images(skew, shards))
    return {**card, "picture": None if picture is None else str(picture)}


def _show(card: Mapping[str, Any]) -> None:
    image = card["image"]
    size = " x ".join(map(str, image["shape"]))
    partners = f", {image['partners']} partners a sample" if image["partners"] > 1 else ""
    print(f"{card['name']}: {size} {image['dtype']}, {image['pixel_scale']:g} arcsec a pixel{partners}")
    for table in (_images(card), _quantities(card), _bands(card)):
        if table.row_count:
            show(table)
    for name in ("licence", "citation", "about"):
        if card[name]:
            print(
                fill(" ".join(f"{name}: {card[name]}".split()), WIDTH, break_long_words=False, break_on_hyphens=False)
            )
    print(f"shards: {card['folder']}")
    if card["picture"]:
        print(f"picture: {card['picture']}")


def _images(card: Mapping[str, Any]) -> Table:
    """A column a split, and one for what a skew leaves; a row for all images, and for each class of each target."""
    skew = card["skew"]
    table = _table("Images", "", card["splits"], [f"train, skewed ({skew['on']})"] if skew else [])
    table.add_row("all", *_texts([*card["splits"].values(), *([skew["images"]] if skew else [])]))
    for name, target in card["targets"].items():
        for label in target["splits"][next(iter(card["splits"]))].get("counts", ()):
            counts = [values["counts"][label] for values in target["splits"].values()]
            left = [skew["counts"][label]] if skew and skew["target"] == name else []
            table.add_row(f"{name} {label}", *_texts(counts + left))
    return table


def _quantities(card: Mapping[str, Any]) -> Table:
    """A row a quantity and split."""
    table = _table("Quantities", "", ["unit", "images", "lowest", "median", "highest"])
    skew = card["skew"]
    for name, target in card["targets"].items():
        rows = dict(target["splits"]) if target["kind"] == "quantity" else {}
        if rows and skew and skew["target"] == name:
            rows["train, skewed"] = skew
        for split, values in rows.items():
            spread = (values[key] for key in ("min", "median", "max"))
            table.add_row(f"{name}, {split}", target["unit"], *_texts([values["known"], *spread]))
    return table


def _bands(card: Mapping[str, Any]) -> Table:
    statistics = card["statistics"]
    table = _table(f"Pixels of {statistics['split']}", "band", ["mean", "std", "lowest", "highest"])
    for band, values in statistics["bands"].items():
        table.add_row(band, *_texts(values.values()))
    return table


def _table(title: str, first: str, *columns: Iterable[str]) -> Table:
    from rich.table import Table

    table = Table(header_style="bold", title=title, title_justify="left")
    table.add_column(first)
    for name in (name for group in columns for name in group):
        table.add_column(name, justify="right")
    return table


def _texts(values: Iterable[float | None]) -> list[str]:
    return ["" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4g}" for value in values]
