"""NT-Xent, the loss of SimCLR (arXiv 2002.05709, equation 1)."""

from __future__ import annotations

import math

import torch
from attrs import frozen
from torch import Tensor

from deeplense_registry.blocks import info_nce


@frozen(eq=False)
class Contrast:
    """What NT-Xent says of the rows of one process.

    Attributes:
        loss: Scalar, the mean over rows.
        top1: Scalar, the fraction of rows whose positive is the nearest of all other rows.
    """

    loss: Tensor
    top1: Tensor


def nt_xent(own: Tensor, everyone: Tensor, first: int, temperature: float) -> Contrast:
    """Each view of an image finds the other view among every other row of the batch.

    The mean over the 2B rows, which is half of what the authors' code adds up (one term for each view).

    Args:
        own: (B, 2, D) of unit length, two views of each image of this process.
        everyone: (N, 2, D), those of every process, ``own`` among them.
        first: Where ``own`` starts in ``everyone``, in images.
        temperature: Positive.
    """
    rows = torch.arange(2 * len(own), device=own.device) + 2 * first  # of own.flatten(0, 1) in everyone.flatten(0, 1)
    partners = rows ^ 1  # views of an image lie side by side: 0 and 1, 2 and 3
    loss, found = info_nce(own.flatten(0, 1), everyone.flatten(0, 1), partners, temperature, own=rows)
    return Contrast(loss, found.float().mean())


def chance(images: int) -> float:
    """NT-Xent of embeddings that are all alike, for a step of so many images: the log of the number of candidates."""
    return math.log(2 * images - 1)
