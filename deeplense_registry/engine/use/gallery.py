"""Queries beside the images most like them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ...components import UserError
from ...shards.atomic import write_bytes
from ..pictures import png, stretched
from .inputs import Stack

SIDE, TEXT, GAP = 96, 12, 6
"""Pixels: of an image, of the line below it, between images."""


def gallery(path: Path, queries: Stack, among: Stack, where: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
    """Draw a PNG: a row a query, on the left the query, then its neighbours with their similarities.

    Args:
        path: Where to.
        queries: Q images.
        among: Where the neighbours are.
        where: (Q, k) positions in ``among``.
        scores: (Q, k) similarities.

    Raises:
        UserError: The disk refuses.
    """
    count, k = where.shape
    sheet = Image.new(
        "L" if _bands(among) != 3 else "RGB", ((k + 1) * (SIDE + GAP) + 2 * GAP, count * (SIDE + TEXT + GAP)), "white"
    )
    pencil = ImageDraw.Draw(sheet)
    for row in range(count):
        top = row * (SIDE + TEXT + GAP)
        _place(sheet, pencil, queries, row, (GAP, top), str(queries.names[row]))
        for column in range(k):
            left = (column + 1) * (SIDE + GAP) + 2 * GAP
            n = int(where[row, column])
            _place(sheet, pencil, among, n, (left, top), f"{scores[row, column]:.3f}")
    try:
        write_bytes(path, png(np.asarray(sheet, np.float32) / 255.0))
    except OSError as error:
        raise UserError(f"{path}: cannot write: {error}; make room and run again") from error


def _bands(images: Stack) -> int:
    return int(images.read(np.array([0])).shape[1])


def _place(
    sheet: Image.Image, pencil: ImageDraw.ImageDraw, images: Stack, n: int, at: tuple[int, int], text: str
) -> None:
    flux = torch.from_numpy(images.read(np.array([n])))
    shown = stretched(flux)[0]  # (C, h, w) in [0, 1]
    pixels = shown.permute(1, 2, 0) if shown.shape[0] == 3 else shown.mean(0)
    levels = (pixels.numpy() * 255.0).round().astype(np.uint8)
    sheet.paste(Image.fromarray(levels).resize((SIDE, SIDE), Image.Resampling.NEAREST), at)
    pencil.text((at[0], at[1] + SIDE), text, fill="black", font_size=10)
