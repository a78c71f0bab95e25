"""``deeplense embed RUN INPUT -o FILE``: embeddings of images, with their names."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .progress import counting


def add(parsers: Any) -> None:
    """Register the verb."""
    parser = parsers.add_parser("embed", help="embed images with the encoder of a run")
    parser.add_argument("run", type=Path, metavar="RUN", help="a run's folder, or an exported encoder")
    add_input(parser)
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="FILE.npz or FILE.parquet")
    parser.set_defaults(call=run)


def add_input(parser: argparse.ArgumentParser, name: str = "input") -> None:
    """The arguments that name images."""
    text = "a run, a folder of shards, a spec (.toml), a .npy stack or a folder of .npy images"
    parser.add_argument(name, type=Path, metavar=name.upper(), help=text)
    parser.add_argument("--split", default="test", help="of shards, runs and specs (test)")


def run(arguments: argparse.Namespace) -> int:
    """Write ``keys`` (N,) and ``embeddings`` (N, D)."""
    from ..engine.use import embed_stack, embeddings_writer, open_encoder, open_images

    write = embeddings_writer(arguments.out)  # refuses before hours of work
    encoder = open_encoder(arguments.run)
    with counting("data") as report:
        images = open_images(arguments.input, encoder.shape, arguments.split, report)
    with counting("embedding", "images") as report:
        vectors = embed_stack(encoder, images, report)
    write(images.names, vectors)
    print(f"{len(images):,} embeddings of width {vectors.shape[1]}: {arguments.out}")
    return 0
