"""Pictures of a run for people who would rather look than read."""

from __future__ import annotations

import io

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ..interfaces import Views

IMAGES = 8


def png(picture: NDArray[np.float32]) -> bytes:
    """A picture (H, W) or (H, W, 3) in [0, 1] as a PNG file."""
    levels = np.round(np.clip(picture, 0.0, 1.0) * 255.0).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels).save(file, format="PNG")
    return file.getvalue()


def first_views(views: Views) -> NDArray[np.float32]:
    """A grid of the first images of a micro-batch: a column an image, a row a view; (H, W) or (H, W, 3) in [0, 1]."""
    side = max(max(view.shape[-2:]) for view in views.images)
    rows = [_row(view[:IMAGES].detach().float().cpu(), side) for view in views.images]
    grid = torch.cat(rows, dim=-2)  # (C, V * side, IMAGES * side)
    picture = grid.permute(1, 2, 0) if grid.shape[0] == 3 else grid.mean(0)
    return np.ascontiguousarray(picture.numpy())


def stretched(images: Tensor) -> Tensor:
    """Images (n, C, h, w) for the eye: each to [0, 1] between its 1st and 99.5th percentile."""
    flat = images.flatten(1)
    low, high = (torch.quantile(flat, q, dim=1).view(-1, 1, 1, 1) for q in (0.01, 0.995))
    return ((images - low) / (high - low).clamp(min=1e-12)).clamp(0.0, 1.0)


def _row(images: Tensor, side: int) -> Tensor:
    """(n, C, h, w) to (C, side, n * side), stretched for the eye."""
    padded = F.pad(stretched(images), (0, side - images.shape[-1], 0, side - images.shape[-2]))
    return torch.cat(list(padded), dim=-1)
