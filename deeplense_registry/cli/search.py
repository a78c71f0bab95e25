"""``deeplense search RUN QUERY``: the images most like others, to an encoder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .embed import add_input
from .progress import counting
from .show import show

if TYPE_CHECKING:
    from ..engine import Encoder
    from ..engine.use import Stack


def add(parsers: Any) -> None:
    """Register the verb."""
    parser = parsers.add_parser("search", help="find the images most like others")
    parser.add_argument("run", type=Path, metavar="RUN", help="a run's folder, or an exported encoder")
    add_input(parser, "query")
    parser.add_argument("--among", type=Path, metavar="WHERE", help="images, or embeddings from `embed` (RUN's images)")
    parser.add_argument("-k", type=int, default=8, help="neighbours of each query (8)")
    parser.add_argument("--first", type=int, default=8, metavar="N", help="how many of the query images (8)")
    parser.add_argument("--gallery", type=Path, metavar="PNG", help="a picture of queries and neighbours")
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the neighbours of each query, and draw them if asked."""
    from rich.table import Table

    from ..components import UserError
    from ..engine import load_encoder
    from ..engine.use import embed_stack, first, gallery, nearest, open_images, read_embeddings

    encoder = load_encoder(arguments.run)
    queries = first(open_images(arguments.query, encoder.shape, arguments.split), arguments.first)
    source = arguments.among or arguments.run
    if source.suffix in (".npz", ".parquet"):
        if arguments.gallery:
            raise UserError(f"{source}: embeddings have no pixels to draw; give --among images, or no --gallery")
        among, (names, vectors) = None, read_embeddings(source)
    else:
        among = open_images(source, encoder.shape, arguments.split)
        names, vectors = among.names, _embed(encoder, among)
    where, scores = nearest(embed_stack(encoder, queries), vectors, arguments.k)
    table = Table(header_style="bold")
    for column in ("query", *map(str, range(1, arguments.k + 1))):
        table.add_column(column)
    for query, row, alike in zip(queries.names, where, scores, strict=True):
        table.add_row(query, *(f"{names[n]} {score:.3f}" for n, score in zip(row, alike, strict=True)))
    show(table)
    if among is not None and arguments.gallery:
        gallery(arguments.gallery, queries, among, where, scores)
        print(f"Gallery: {arguments.gallery}")
    return 0


def _embed(encoder: Encoder, images: Stack) -> Any:
    from ..engine.use import embed_stack

    with counting("embedding", "images") as report:
        return embed_stack(encoder, images, report)
