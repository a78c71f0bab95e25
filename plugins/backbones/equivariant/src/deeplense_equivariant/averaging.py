"""Exact averaging over D4, the 8 turns and mirrors of the square (Puny et al. 2022, arXiv 2110.03336)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from deeplense_registry import Backbone, Features

Element = tuple[int, bool]

D4: tuple[Element, ...] = tuple((turns, mirror) for turns in (0, 2, 1, 3) for mirror in (False, True))
"""Quarter turns counter-clockwise, after a mirror or not; the last four exchange height and width."""


def act(element: Element, maps: Tensor) -> Tensor:
    """``maps`` (..., h, w), mirrored left to right and then turned; no number changes."""
    turns, mirror = element
    return torch.rot90(maps.flip(-1) if mirror else maps, turns, (-2, -1))


def undo(element: Element, maps: Tensor) -> Tensor:
    """The reverse of :func:`act`."""
    turns, mirror = element
    back = torch.rot90(maps, -turns, (-2, -1))
    return back.flip(-1) if mirror else back


def average(trunk: Backbone, images: Tensor) -> Features:
    """Features of ``images`` (B, C, H, W), the mean over the 8 elements.

    ``pooled`` does not change when an image is turned or mirrored by one of them, and grids turn and mirror with it.
    Images of the same height and width go through the trunk as one batch, so batch norm sees the whole orbit.
    """
    height, width = images.shape[-2:]
    parts = (D4,) if height == width else (D4[:4], D4[4:])
    seen = [one for part in parts for one in _upright(part, trunk(torch.cat([act(g, images) for g in part])))]
    return Features(
        pooled=torch.stack([one.pooled for one in seen]).mean(0),
        grid=torch.stack([one.grid for one in seen]).mean(0),
        pyramid=tuple(torch.stack(level).mean(0) for level in zip(*(one.pyramid for one in seen), strict=True)),
    )


def _upright(part: Sequence[Element], features: Features) -> Iterator[Features]:
    """Features of each element's images, with grids turned back."""
    pooled, grid = features.pooled.chunk(len(part)), features.grid.chunk(len(part))
    levels = [level.chunk(len(part)) for level in features.pyramid]
    for n, element in enumerate(part):
        yield Features(pooled[n], undo(element, grid[n]), tuple(undo(element, level[n]) for level in levels))
