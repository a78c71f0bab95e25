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

LOPSIDED = 16.0
"""Weight of a heatmap's lopsidedness about a peak beside the peak's height."""


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


def angles_at_peaks(logits: Tensor, directions: Tensor, count: int = 1) -> Angles:
    """The ``count`` best peaks of each image, weighted by a softmax over their scores.

    A peak is a bin that is highest within :data:`REACH`, and no lower than the mean; its position is the mean of the
    bins around it under the softmax of their logits. Its score is its height plus, times :data:`LOPSIDED`, the
    component of the heatmap's first harmonic a quarter turn ahead of it. Height alone cannot tell an image from its
    mirror image, nor the images of a quad from each other: the network looks at some 20 degrees, and there they are
    alike. The harmonic sees all around.

    Args:
        logits: (B, M, n), the heatmaps of an image and, with M = 2, of its mirror image.
        directions: (n, 2), unit vectors of the bins.
        count: F. An image with fewer peaks has frames of weight 0.

    Returns:
        Their confidence is the weight of the best peak above that of the next: 0 where another angle does as well.
    """
    heat = sharpen(logits.flatten(1)).view_as(logits)
    score, place = _scores(heat, directions).flatten(1).topk(max(count, 2), dim=-1)
    bins = len(directions)
    mirrored, centre = place[:, :count] // bins, place[:, :count] % bins
    reach = torch.arange(-REACH, REACH + 1, device=heat.device)
    around = mirrored[..., None] * bins + (centre[..., None] + reach) % bins  # (B, F, 2 * REACH + 1)
    share = heat.flatten(1).gather(1, around.flatten(1)).view(around.shape).softmax(-1)
    angle = (centre + (share * reach).sum(-1)) * (2.0 * math.pi / bins)
    return Angles(angle, mirrored, score[:, :count].softmax(-1), _margin(score))


def angles_at_mean(logits: Tensor, directions: Tensor) -> Angles:
    """The circular mean of a heatmap, as published; of two heatmaps, that with the best peak.

    Args:
        logits: (B, M, n).
        directions: (n, 2), unit vectors of the bins.

    Returns:
        One frame; its confidence is the length of the resultant, and without one the angle is 0.
    """
    mirrored = angles_at_peaks(logits, directions).mirrored  # (B, 1)
    chosen = logits.gather(1, mirrored[..., None].expand(-1, -1, logits.shape[-1]))
    resultant = chosen.softmax(-1) @ directions  # (B, 1, 2)
    length = resultant.norm(dim=-1)
    x, y = torch.where(length[..., None] > 1e-6, resultant, directions[0]).unbind(-1)
    return Angles(torch.atan2(y, x), mirrored, torch.ones_like(x), length.squeeze(1).detach())


def place_of_peak(logits: Tensor, sky: Tensor) -> tuple[Tensor, Tensor]:
    """Where a heatmap that does not close upon itself departs most, up or down, from that of empty sky.

    Whatever the readout of angles, it is read at a peak: the centroid of an all but flat heatmap is its middle.

    Args:
        logits: (..., n).
        sky: (..., 1), the logit of empty sky.

    Returns:
        Its position (...) in bins, and its confidence (...) as of :func:`angles_at_peaks`.
    """
    heat = sharpen((logits - sky).abs())
    height, place = heat.masked_fill(~_peaks(heat, circular=False), -math.inf).topk(2, dim=-1)
    reach = torch.arange(-REACH, REACH + 1, device=heat.device)
    padded = F.pad(heat, (REACH, REACH), value=-math.inf)
    around = padded.gather(-1, place[..., :1] + reach + REACH)
    return place[..., 0] + (around.softmax(-1) * reach).sum(-1), _margin(height)


def _scores(heat: Tensor, directions: Tensor) -> Tensor:
    """See :func:`angles_at_peaks`; (B, M, n), -inf where there is no peak."""
    left, right = heat.roll(1, -1), heat.roll(-1, -1)
    curvature = (2.0 * heat - left - right).clamp_min(1e-3)
    height = heat + (left - right).square() / (8.0 * curvature)  # of the parabola through three bins
    harmonic = (heat / SHARPNESS).softmax(-1) @ directions  # (B, M, 2)
    ahead = torch.stack((-directions[:, 1], directions[:, 0]))  # (2, n)
    lowest = heat.amax((1, 2), keepdim=True).clamp_max(0.0)  # rounding may put a flat heatmap below 0
    peaks = _peaks(heat, circular=True) & (heat >= lowest)
    return (height + LOPSIDED * (harmonic @ ahead)).masked_fill(~peaks, -math.inf)


def _peaks(heat: Tensor, *, circular: bool) -> Tensor:
    """Where ``heat`` (..., n) is highest within :data:`REACH`, bool."""
    rows = heat.detach().flatten(0, -2)[:, None]  # (rows, 1, n)
    rows = torch.cat((rows[..., -REACH:], rows, rows[..., :REACH]), dim=-1) if circular else rows
    return heat >= F.max_pool1d(rows, 2 * REACH + 1, stride=1, padding=0 if circular else REACH).view_as(heat)


def _margin(scores: Tensor) -> Tensor:
    """By how much the first of (..., k) scores in falling order outweighs the second, in [0, 1]."""
    first, second = scores[..., :2].detach().softmax(-1).unbind(-1)
    return first - second
