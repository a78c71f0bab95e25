"""``deeplense predict RUN INPUT``: classes or quantities of images without labels, and how far to trust them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .embed import add_input
from .progress import counting
from .show import show

SHOWN = 20
"""Rows on the terminal; a file has them all."""


def add(parsers: Any) -> None:
    """Register the verb."""
    parser = parsers.add_parser("predict", help="predict a target of images, with intervals and trust")
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a finished run")
    add_input(parser)
    parser.add_argument("--target", metavar="NAME", help="what to predict (the data set's first)")
    parser.add_argument("-o", "--out", type=Path, metavar="CSV", help="write every row there")
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Learn a probe on the run's labels, and apply it."""
    from ..engine.use import embed_stack, learn, lesson, open_images, rows

    with counting("embedding the run's images", "images") as report:
        encoder, predictor = learn(arguments.run, arguments.target, report)
    with counting("data") as report:
        images = open_images(arguments.input, encoder.shape, arguments.split, report)
    with counting("embedding", "images") as report:
        prediction = predictor(embed_stack(encoder, images, report))
    _tell(arguments.out, *rows(predictor, images.names, prediction))
    print(lesson(predictor))
    return 0


def _tell(out: Path | None, header: list[str], lines: list[list[str]]) -> None:
    from rich.table import Table

    from ..engine.use import write_csv

    if out is not None:
        write_csv(out, header, lines)
        print(f"{len(lines):,} predictions of {header[1]}: {out}")
        return
    table = Table(header_style="bold")
    for name in header:
        table.add_column(name)
    for line in lines[:SHOWN]:
        table.add_row(*line)
    show(table)
    if len(lines) > SHOWN:
        print(f"... and {len(lines) - SHOWN} more; -o FILE.csv writes them all")
