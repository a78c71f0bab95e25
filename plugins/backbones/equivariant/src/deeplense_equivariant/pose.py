"""Poses: similarities of the plane, as rows of numbers.

A pose is (..., 6): angle (radians, counter-clockwise as displayed), ln scale, x, y, mirrored (0 or 1), weight. It maps
a point p of the canonical image to the point of the input that is seen there, (x, y) + scale R(angle) M p, where M
mirrors y if ``mirrored``. The unit of length is half the shorter side of the image, between the centres of its
outermost pixels; x points right and y up, from the image's centre. The weight says how much a frame counts among an
image's.

The same scene turned by g has the pose with ``angle + g``, and so the same canonical image: self-consistency.
"""

from __future__ import annotations

import torch
from torch import Tensor

COLUMNS = 6


def pose_of(
    angle: Tensor,
    *,
    log_scale: Tensor | None = None,
    x: Tensor | None = None,
    y: Tensor | None = None,
    mirrored: Tensor | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Rows (..., 6) from columns (...); what is left out is that of the identity."""
    zero = torch.zeros_like(angle)
    columns = [zero if one is None else one.to(angle.dtype) for one in (log_scale, x, y, mirrored)]
    return torch.stack([angle, *columns, torch.ones_like(angle) if weight is None else weight], dim=-1)


def transform(pose: Tensor, points: Tensor) -> Tensor:
    """Where canonical ``points`` (..., 2) lie in the input, for each pose (N, 6): (N, ..., 2)."""
    columns = pose.reshape(-1, COLUMNS, *[1] * (points.ndim - 1)).unbind(1)
    angle, log_scale, x, y, mirrored, _ = columns  # (N, 1, ..., 1)
    scale = log_scale.exp()
    cos, sin = scale * angle.cos(), scale * angle.sin()
    right, up = points[..., 0], points[..., 1] * (1.0 - 2.0 * mirrored)
    return torch.stack((x + cos * right - sin * up, y + sin * right + cos * up), dim=-1)


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """The pose (..., 6) whose map is that of ``outer`` after that of ``inner``; weights are multiplied."""
    angle, log_scale, x, y, mirrored, weight = outer.unbind(-1)
    sign = 1.0 - 2.0 * mirrored  # M R(a) = R(-a) M
    cos, sin = log_scale.exp() * angle.cos(), log_scale.exp() * angle.sin()
    right, up = inner[..., 2], inner[..., 3] * sign
    both = mirrored + inner[..., 4] - 2.0 * mirrored * inner[..., 4]
    columns = (
        angle + sign * inner[..., 0],
        log_scale + inner[..., 1],
        x + cos * right - sin * up,
        y + sin * right + cos * up,
        both,
        weight * inner[..., 5],
    )
    return torch.stack(columns, dim=-1)


def inverse(pose: Tensor) -> Tensor:
    """The pose (..., 6) of the inverse map; the weight stays."""
    angle, log_scale, x, y, mirrored, weight = pose.unbind(-1)
    turned = pose_of((2.0 * mirrored - 1.0) * angle, log_scale=-log_scale, mirrored=mirrored, weight=weight)
    return compose(turned, pose_of(torch.zeros_like(angle), x=-x, y=-y))
