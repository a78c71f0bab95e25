"""From a heatmap to a coordinate."""

from __future__ import annotations

import math

import torch
from attrs import frozen
from torch import Tensor
from torch.nn import functional as F

REACH = 4
"""Bins on each side of a peak that make its position finer than a bin."""

SHARPNESS = 4.0
"""Standard deviations of a heatmap's logits become this many: fresh weights give heatmaps that are all but flat."""


@frozen(eq=False)
class Angles:
    """Angles read off heatmaps: F frames for each of B images.

    Attributes:
        angle: (B, F), radians.
        mirrored: (B, F) int64, the row of the heatmap that it was read from.
        weight: (B, F), of sum 1.
        confidence: (B,) in [0, 1].
    """

    angle: Tensor
    mirrored: Tensor
    weight: Tensor
    confidence: Tensor


def sharpen(logits: Tensor) -> Tensor:
    """Rows (..., n) of mean 0 and one standard deviation, :data:`SHARPNESS`; flat rows become 0."""
    centred = logits - logits.mean(-1, keepdim=True)
    return SHARPNESS * centred / (centred.square().mean(-1, keepdim=True) + 1e-8).sqrt()


def angles_at_peaks(logits: Tensor, angles: Tensor, count: int = 1) -> Angles:
    """The ``count`` highest peaks of each image, weighted by a softmax over their heights.

    A peak is a bin that is highest within :data:`REACH`; its position is the mean of the bins around it under the
    softmax of their logits. An image with fewer peaks has frames of weight 0.

    Args:
        logits: (B, M, n), the heatmaps of an image and, with M = 2, of its mirror image.
        angles: (n,), those of the bins; evenly spaced over a turn.
        count: F.

    Returns:
        Their confidence is the weight of the highest peak above that of the next: 0 where another angle does as well.
    """
    heat = sharpen(logits.flatten(1))  # (B, M * n)
    heights = _peaks(heat.view_as(logits), circular=True).flatten(1)
    height, place = heights.topk(max(count, 2), dim=-1)
    bins = len(angles)
    mirrored, centre = place[:, :count] // bins, place[:, :count] % bins
    reach = torch.arange(-REACH, REACH + 1, device=heat.device)
    around = mirrored[..., None] * bins + (centre[..., None] + reach) % bins  # (B, F, 2 * REACH + 1)
    share = heat.gather(1, around.flatten(1)).view(around.shape).softmax(-1)
    step = angles[1] - angles[0]
    angle = angles[centre] + step * (share * reach).sum(-1)
    return Angles(angle, mirrored, height[:, :count].softmax(-1), _margin(height))


def angles_at_mean(logits: Tensor, directions: Tensor) -> Angles:
    """The circular mean of each heatmap, as published; of two rows, that of the higher one.

    Args:
        logits: (B, M, n).
        directions: (n, 2), unit vectors of the bins.

    Returns:
        One frame; its confidence is the length of the resultant, and without one the angle is 0.
    """
    mirrored = logits.amax(-1).argmax(-1, keepdim=True)  # (B, 1)
    chosen = logits.gather(1, mirrored[..., None].expand(-1, -1, logits.shape[-1]))
    resultant = chosen.softmax(-1) @ directions  # (B, 1, 2)
    length = resultant.norm(dim=-1).squeeze(1)
    some = (length > 1e-6)[:, None, None]
    x, y = torch.where(some, resultant, resultant.new_tensor((1.0, 0.0))).unbind(-1)
    return Angles(torch.atan2(y, x), mirrored, torch.ones_like(x), length)


def place_of_peak(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The highest peak of a heatmap that does not close upon itself.

    It is always read at the peak, whatever the readout of angles: the centroid of an all but flat heatmap is its middle.

    Args:
        logits: (..., n).

    Returns:
        Its position (...) in bins, and its confidence (...) as of :func:`angles_at_peaks`.
    """
    heat = sharpen(logits)
    height, place = _peaks(heat, circular=False).topk(2, dim=-1)
    reach = torch.arange(-REACH, REACH + 1, device=heat.device)
    padded = F.pad(heat, (REACH, REACH), value=-math.inf)
    around = padded.gather(-1, place[..., :1] + reach + REACH)
    return place[..., 0] + (around.softmax(-1) * reach).sum(-1), _margin(height)


def _peaks(heat: Tensor, *, circular: bool) -> Tensor:
    """``heat`` (..., n) at its peaks, and -inf elsewhere."""
    rows = heat.flatten(0, -2)[:, None]  # (rows, 1, n)
    rows = torch.cat((rows[..., -REACH:], rows, rows[..., :REACH]), dim=-1) if circular else rows
    highest = F.max_pool1d(rows, 2 * REACH + 1, stride=1, padding=0 if circular else REACH).view_as(heat)
    return heat.masked_fill(heat < highest, -math.inf)


def _margin(heights: Tensor) -> Tensor:
    """By how much the first of (..., k) heights in falling order outweighs the second, in [0, 1]."""
    first, second = heights[..., :2].detach().softmax(-1).unbind(-1)
    return first - second
