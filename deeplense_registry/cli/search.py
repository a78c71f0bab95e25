"""``deeplense search RUN QUERY``: the images most like others, to an encoder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..components import UserError
from .embed import add_input
from .progress import counting
from .show import show

if TYPE_CHECKING:
    from rich.table import Table

    from ..engine import Encoder
    from ..engine.use import Stack

FILES = (".npz", ".parquet")


def add(parsers: Any) -> None:
    """Register the verb."""
    parser = parsers.add_parser("search", help="find the images most like others")
    parser.add_argument("run", type=Path, metavar="RUN", help="a run's folder, or an exported encoder")
    add_input(parser, "query")
    parser.add_argument("--among", type=Path, metavar="WHERE", help="images, or embeddings from `embed` (RUN's images)")
    parser.add_argument("-k", type=int, default=8, help="neighbours of each query, itself left out (8)")
    parser.add_argument("--first", type=int, default=8, metavar="N", help="how many of the query images (8)")
    parser.add_argument("--gallery", type=Path, metavar="PNG", help="a picture of queries and neighbours")
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the neighbours of each query, and draw them if asked."""
    from ..engine.use import embed_stack, first, gallery, nearest_others, open_encoder

    source = arguments.among or arguments.run
    _check(arguments, source)
    encoder = open_encoder(arguments.run)
    queries = first(_images(encoder, arguments.query, arguments.split), arguments.first)
    among, names, vectors = _rows(encoder, source, arguments.split)
    found = nearest_others(queries.names, embed_stack(encoder, queries), names, vectors, arguments.k)
    show(_table(queries.names, names, *found))
    if among is not None and arguments.gallery:
        gallery(arguments.gallery, queries, among, found)
        print(f"Gallery: {arguments.gallery}")
    return 0


def _check(arguments: argparse.Namespace, source: Path) -> None:
    for name, value in (("-k", arguments.k), ("--first", arguments.first)):
        if value < 1:
            raise UserError(f"{name} {value}: give 1 or more")
    if arguments.gallery and source.suffix in FILES:
        raise UserError(f"{source}: embeddings have no pixels to draw; give --among images, or no --gallery")
    if arguments.among is None and not (source / "spec.toml").is_file():
        raise UserError(f"{source}: an encoder without images of its own; say --among which images to search")


def _images(encoder: Encoder, path: Path, split: str) -> Stack:
    from ..engine.use import open_images

    with counting("data") as report:
        return open_images(path, encoder.shape, split, report)


def _rows(encoder: Encoder, source: Path, split: str) -> tuple[Stack | None, Any, Any]:
    """What is searched: its images, unless it is a file of embeddings; names (N,) and embeddings (N, D)."""
    from ..engine.use import embed_stack, read_embeddings

    if source.suffix in FILES:
        return None, *read_embeddings(source)
    images = _images(encoder, source, split)
    with counting("embedding", "images") as report:
        return images, images.names, embed_stack(encoder, images, report)


def _table(queries: Any, names: Any, where: Any, scores: Any) -> Table:
    from rich.table import Table

    table = Table(header_style="bold")
    for column in ("query", *map(str, range(1, where.shape[1] + 1))):
        table.add_column(column, overflow="fold")
    for query, row, alike in zip(queries, where, scores, strict=True):
        table.add_row(query, *(f"{names[n]} {score:.3f}" for n, score in zip(row, alike, strict=True)))
    return table
