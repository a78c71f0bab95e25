"""Queries beside the images most like them."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ...components import UserError
from ...shards.atomic import write_bytes
from ..pictures import png, stretched
from .neighbours import Found
from .stack import Stack

SIDE, LINE, GAP, FONT = 128, 15, 8, 12
"""Pixels: of an image, of a line of text, between images, of the letters."""


def gallery(path: Path, queries: Stack, among: Stack, found: Found) -> None:
    """Draw a PNG: a row a query, on the left the query, then its neighbours, each with its targets below.

    Args:
        path: Where to.
        queries: Q images.
        among: Where the neighbours are.
        found: (Q, k) positions in ``among``, and their similarities.

    Raises:
        UserError: An image cannot be read, or the disk refuses.
    """
    sheet = _Sheet(queries, among, found[0].shape)
    for row, (where, scores) in enumerate(zip(*found, strict=True)):
        sheet.place(queries, row, row, 0, str(queries.names[row]))
        for column, (n, score) in enumerate(zip(where.tolist(), scores.tolist(), strict=True), start=1):
            sheet.place(among, n, row, column, f"{score:.3f}")
    try:
        write_bytes(path, png(sheet.pixels()))
    except OSError as error:
        raise UserError(f"{path}: cannot write: {error}; make room and run again") from error


class _Sheet:
    """A white sheet with room for everything; at its left stands what the lines below images are."""

    def __init__(self, queries: Stack, among: Stack, shape: tuple[int, ...]) -> None:
        found = {**queries.targets, **among.targets}
        self.names = [name for name, column in found.items() if column.varies]
        units = [found[name].about.unit for name in self.names]
        below = [f"{name} [{unit}]" if unit else name for name, unit in zip(self.names, units, strict=True)]
        self.lines = ["cosine similarity", *below]
        self.font = ImageFont.load_default(FONT)
        self.margin = 2 * GAP + ceil(max(map(self.font.getlength, self.lines)))
        self.cell = SIDE + LINE * len(self.lines) + GAP
        size = (self.margin + (shape[1] + 1) * (SIDE + GAP) + GAP, GAP + shape[0] * self.cell)
        self.image = Image.new("RGB", size, "white")
        self.pencil = ImageDraw.Draw(self.image)
        for row in range(shape[0]):
            self.write(self.lines, (GAP, GAP + row * self.cell + SIDE), self.margin)

    def place(self, images: Stack, n: int, row: int, column: int, text: str) -> None:
        """Image ``n`` with ``text`` and its targets below; the query, column 0, stands a little apart."""
        left, top = self.margin + column * (SIDE + GAP) + (GAP if column else 0), GAP + row * self.cell
        self.image.paste(_picture(images, n), (left, top))
        known = [images.targets[name].text(n) if name in images.targets else "-" for name in self.names]
        self.write([text, *known], (left, top + SIDE), SIDE)

    def write(self, lines: list[str], at: tuple[int, int], width: int) -> None:
        """Lines below each other; of what is too wide the middle goes."""
        for number, text in enumerate(lines):
            fitted, kept = text, len(text)
            while kept > 1 and self.font.getlength(fitted) > width:
                kept -= 1
                fitted = f"{text[: kept // 2]}...{text[len(text) - (kept - kept // 2) :]}"
            self.pencil.text((at[0], at[1] + number * LINE), fitted, fill="black", font=self.font)

    def pixels(self) -> NDArray[np.float32]:
        """(H, W, 3) in [0, 1]."""
        return np.asarray(self.image, np.float32) / 255.0


def _picture(images: Stack, n: int) -> Image.Image:
    """In colours if there are three bands, else in grey; at its own proportions, as large as there is room."""
    shown = stretched(torch.from_numpy(images.read(np.array([n]))))[0]  # (C, h, w) in [0, 1]
    pixels = shown.permute(1, 2, 0) if shown.shape[0] == 3 else shown.mean(0)
    picture = Image.fromarray((pixels.numpy() * 255.0).round().astype(np.uint8))
    scale = SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.NEAREST)
