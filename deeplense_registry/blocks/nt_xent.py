"""NT-Xent, the contrast of SimCLR (arXiv 2002.05709, equation 1), of which VTCC and the first SiT are made too."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .contrast import info_nce


def nt_xent(own: Tensor, everyone: Tensor, first: int, temperature: float) -> tuple[Tensor, Tensor]:
    """Each view finds the other view of its image among every other row.

    The rows need not be images: VTCC compares the columns of its cluster assignments so.

    Args:
        own: (B, 2, D) of unit length, two views of each image of this process.
        everyone: (N, 2, D), those of every process, ``own`` among them.
        first: Where ``own`` starts in ``everyone``, in images.
        temperature: Positive.

    Returns:
        The mean over the 2B rows, scalar, and whether each row's partner is the nearest of all others, (2B,) bool.
    """
    rows = torch.arange(2 * len(own), device=own.device) + 2 * first  # of own.flatten(0, 1) in everyone.flatten(0, 1)
    partners = rows ^ 1  # views of an image lie side by side: 0 and 1, 2 and 3
    return info_nce(own.flatten(0, 1), everyone.flatten(0, 1), partners, temperature, own=rows)


def nt_xent_chance(images: int) -> float:
    """NT-Xent of rows that are all alike: the log of the number of candidates, for so many images."""
    return math.log(2 * images - 1)
