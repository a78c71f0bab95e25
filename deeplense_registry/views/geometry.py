"""Where a view looks: rotation, mirror, shift, crop and zoom as one resampling."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from attrs import frozen
from torch import Tensor

from ..interfaces import ViewSpec
from ..spec.tables import ViewsTable
from .draws import chance, log_uniform, uniform

Size = tuple[int, int]


@frozen(kw_only=True, eq=False)
class Window:
    """The part of each of B images that a view shows, and how it lies.

    Attributes:
        centre: (B, 2), where the view's centre lies, in image pixels from the image's: x to the right, y downwards.
        extent: (B, 2), the width and height that the view covers, in image pixels.
        angle: (B,), by which the content turns counter-clockwise as displayed (row 0 on top), in radians.
        mirror: (B,) bool, whether it is mirrored left to right before it turns.
    """

    centre: Tensor
    extent: Tensor
    angle: Tensor
    mirror: Tensor


def warp(images: Tensor, window: Window, size: Size, *, samples: int = 1, beyond: str = "zeros") -> Tensor:
    """The views (B, C, h, w) that ``window`` shows of ``images`` (B, C, H, W); ``size`` is (h, w).

    Pixels hold surface brightness: a source magnified by m keeps its brightness and covers m**2 as many pixels, so its
    summed flux grows by m**2, as under lensing. Interpolation is bilinear between pixel centres; beyond the image there
    is 0, the level of subtracted sky, or with ``beyond = "border"`` its outermost pixel. Averaging neighbouring pixels
    lowers the image's own noise (by up to a factor of 2, halfway between four pixels), as smoothing does.

    Bilinear interpolation aliases when a view is much coarser than its image. Then each of its pixels is the mean of
    ``samples`` x ``samples`` points: see :func:`points`.
    """
    grid = _grid(window, (images.shape[-2], images.shape[-1]), (size[0] * samples, size[1] * samples))
    views = F.grid_sample(images, grid, mode="bilinear", padding_mode=beyond, align_corners=False)
    return F.avg_pool2d(views, samples) if samples > 1 else views


def points(step: float) -> int:
    """Points along each side of a view's pixel that spans up to ``step`` image pixels: at most 1.5 pixels apart."""
    return max(1, round(step))


def size_of(spec: ViewSpec, shape: Size) -> Size:
    """(h, w) of the view of an image of ``shape`` (H, W)."""
    return shape if spec.size is None else (spec.size, spec.size)


def frame(spec: ViewSpec, shape: Size) -> tuple[float, float]:
    """Width and height, in image pixels, of which the spec's crops are a fraction.

    The whole image where the view keeps its shape; else the largest square in it, so that nothing is ever stretched.
    """
    height, width = shape
    return (width, height) if spec.size is None else (min(shape), min(shape))


def look(
    images: Tensor, spec: ViewSpec, table: ViewsTable, generator: torch.Generator, *, centred: bool
) -> tuple[Tensor, Tensor]:
    """One view of each image, with parameters drawn for each.

    Args:
        images: (B, C, H, W), flux.
        spec: The view's size and the area of its crop; the crop lies anywhere inside the image.
        table: Rotation, mirror, shift (image pixels, along each axis of the image) and zoom.
        generator: Source of the draws.
        centred: The view's centre stays the image's: no shift, and crops about the centre.

    Returns:
        The views (B, C, h, w), and the magnification (B,): view pixels per image pixel. Where the spec and the table
        let nothing change, the views are a copy of ``images``.
    """
    shape: Size = (images.shape[-2], images.shape[-1])
    size = size_of(spec, shape)
    if _still(spec, table, centred=centred):
        return images.clone(), torch.ones(len(images), device=images.device)
    window = _draw(len(images), spec, table, shape, generator, centred=centred)
    coarsest = math.sqrt(spec.scale[1]) * frame(spec, shape)[0] / size[1] / table.zoom[0]
    return warp(images, window, size, samples=points(coarsest)), size[1] / window.extent[:, 0]


def _grid(window: Window, shape: Size, size: Size) -> Tensor:
    """(B, h, w, 2), where in an image of ``shape`` each point of a view of ``size`` lies; edges are at -1 and 1."""
    cos, sin = window.angle.cos()[:, None], window.angle.sin()[:, None]  # (B, 1)
    sign = 1.0 - 2.0 * window.mirror.to(cos.dtype)[:, None]
    half = window.extent[:, :, None] / 2  # (B, 2, 1)
    x, y = half[:, 0] * _centres(size[1], cos), half[:, 1] * _centres(size[0], cos)  # (B, w), (B, h), image pixels
    # Turned back, then mirrored back: the sum of a part for each column and one for each row. The matrix products of
    # affine_grid take as long as grid_sample itself; planes of x and y suit its inner loop better than pairs.
    columns = torch.stack((sign * cos * x, sin * x), dim=1) + window.centre[:, :, None]  # (B, 2, w)
    rows = torch.stack((-sign * sin * y, cos * y), dim=1)  # (B, 2, h)
    scale = torch.tensor((2 / shape[1], 2 / shape[0]), device=cos.device)[:, None]
    return ((rows * scale)[..., :, None] + (columns * scale)[..., None, :]).permute(0, 2, 3, 1)


def _centres(count: int, like: Tensor) -> Tensor:
    """The centres of ``count`` pixels between -1 and 1."""
    return (torch.arange(count, device=like.device, dtype=like.dtype) * 2 + 1) / count - 1


def _draw(
    count: int, spec: ViewSpec, table: ViewsTable, shape: Size, generator: torch.Generator, *, centred: bool
) -> Window:
    turn = 2 * math.pi if table.rotate else 0.0
    angle = uniform(0.0, turn, count, generator)
    mirror = chance(0.5 if table.flip else 0.0, count, generator)
    zoom = log_uniform(*table.zoom, (count, 1), generator)
    whole = torch.tensor(frame(spec, shape), device=generator.device)  # (2,), x before y
    crop = uniform(*spec.scale, (count, 1), generator).sqrt() * whole  # (B, 2)
    room = (torch.tensor(shape[::-1], device=generator.device) - crop).clamp_min(0.0) / 2
    place = uniform(-1.0, 1.0, (count, 2), generator) * room
    shift = uniform(-table.shift, table.shift, (count, 2), generator)
    centre = torch.zeros_like(place) if centred else place + shift
    return Window(centre=centre, extent=crop / zoom, angle=angle, mirror=mirror)


def _still(spec: ViewSpec, table: ViewsTable, *, centred: bool) -> bool:
    moves = table.rotate or table.flip or (table.shift > 0 and not centred)
    scales = spec.size is not None or spec.scale != (1.0, 1.0) or table.zoom != (1.0, 1.0)
    return not (moves or scales)
