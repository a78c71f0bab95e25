"""Multi-crop: views of several resolutions through one encoder (Caron et al. 2020, arXiv 2006.09882, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import torch
from torch import Tensor

from ..interfaces import Features


def encode_views(encode: Callable[[Tensor], Features | Tensor], images: Sequence[Tensor]) -> Tensor:
    """Encode the views of B images with one forward for each resolution.

    Consecutive views of equal height and width go through the encoder as one batch, as published: batch norm sees them
    together, and the views of another resolution apart.

    Args:
        encode: A backbone, of which ``pooled`` is taken, or any function (n, C, h, w) to (n, D).
        images: For each of V views (B, C, h, w).

    Returns:
        (B, V, D), the views in the order given.
    """
    groups = [list(views) for _, views in groupby(images, key=lambda view: view.shape[-2:])]
    encoded = [_pooled(encode(torch.cat(views))) for views in groups]  # (views of one size * B, D) each
    return torch.cat(encoded).view(len(images), len(images[0]), -1).transpose(0, 1)


def _pooled(encoded: Features | Tensor) -> Tensor:
    return encoded.pooled if isinstance(encoded, Features) else encoded
