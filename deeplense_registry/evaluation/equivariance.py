"""How much features change when an image is turned or mirrored, beside how much they differ between images."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from attrs import frozen
from torch import Tensor

from ..components import UserError
from ..views.geometry import Window, warp

ELEMENTS: dict[str, tuple[int, bool]] = {
    "turn 90": (1, False),
    "turn 180": (2, False),
    "turn 270": (3, False),
    "mirror": (0, True),
    "mirror, turn 90": (1, True),
    "mirror, turn 180": (2, True),
    "mirror, turn 270": (3, True),
}
"""D4 without the identity: quarter turns counter-clockwise, after a mirror left to right or not."""


@frozen(kw_only=True)
class Change:
    """How features change, in units of the mean distance between the features of two images.

    0 is invariance, and 1 a turned image that is as far from itself as from any other.

    Attributes:
        angles: Degrees, counter-clockwise as displayed.
        turned: The mean over images at each angle.
        elements: The mean over images for each of :data:`ELEMENTS`, whose pixels are permuted and not interpolated.
    """

    angles: tuple[float, ...]
    turned: tuple[float, ...]
    elements: Mapping[str, float]


@torch.no_grad()
def feature_change(
    encode: Callable[[Tensor], Tensor], at_angle: Callable[[float], Tensor], angles: Sequence[float]
) -> Change:
    """Measure :class:`Change`.

    Args:
        encode: Images (B, C, H, W) to features (B, D), each from its own image alone.
        at_angle: The same B square images, turned by some degrees: :func:`turned`, or scenes that are rendered anew.
        angles: Degrees.

    Raises:
        UserError: There are fewer than 2 images, or their features do not differ.
    """
    upright = at_angle(0.0)
    features = encode(upright).double()
    distance = torch.pdist(features).mean()  # NaN of a single image
    if not distance > 0:
        raise UserError(
            f"no unit to measure in: the features of {len(features)} images do not differ; "
            "give two images or more, and an encoder that did not collapse"
        )

    def change(images: Tensor) -> float:
        return float((encode(images).double() - features).norm(dim=1).mean() / distance)

    return Change(
        angles=tuple(angles),
        turned=tuple(change(at_angle(angle)) for angle in angles),
        elements={name: change(_act(element, upright)) for name, element in ELEMENTS.items()},
    )


def turned(images: Tensor, degrees: float) -> Tensor:
    """What the inscribed disc of ``images`` (B, C, H, W) shows after a turn about the centre: (B, C, s, s).

    s is the shorter side. Outside the disc is 0, the level of subtracted sky, at every angle: corners would turn in and
    out of sight. A multiple of 90 degrees permutes pixels; between, bilinear interpolation smooths noise, which an
    encoder may notice.
    """
    side = min(images.shape[-2:])
    top, left = ((length - side) // 2 for length in images.shape[-2:])
    square = images[..., top : top + side, left : left + side]
    quarters, rest = divmod(degrees, 90.0)
    if rest:
        count, whole = len(square), square.new_full((len(square), 2), float(side))
        window = Window(
            centre=torch.zeros_like(whole),
            extent=whole,
            angle=square.new_full((count,), math.radians(degrees)),
            mirror=torch.zeros(count, dtype=torch.bool, device=square.device),
        )
        square = warp(square, window, (side, side))
    else:
        square = torch.rot90(square, int(quarters), (-2, -1))
    return square * _disc(side, square)


def scenes(count: int, size: int, degrees: float = 0.0, seed: int = 0) -> Tensor:
    """Lenses made up of functions of the plane, so that a turned one is rendered and not interpolated.

    Each has an elliptical galaxy in the middle, an arc about it and three point images, all drawn at random; there is
    no noise, and next to nothing outside the inscribed disc.

    Args:
        count: B.
        size: Side in pixels.
        degrees: The turn, counter-clockwise as displayed.
        seed: Of the draws.

    Returns:
        (B, 1, size, size) float32, of peak about 1.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(low: float, high: float, each: int = 1) -> Tensor:
        return low + (high - low) * torch.rand(count, each, 1, 1, generator=generator, dtype=torch.float64)

    line = torch.linspace(-1.0, 1.0, size, dtype=torch.float64)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = cos * line - sin * line[:, None], -sin * line - cos * line[:, None]  # upright coordinates, y up
    tilt, ratio = draw(0.0, math.pi), draw(0.5, 0.8)
    along, across = x * tilt.cos() + y * tilt.sin(), y * tilt.cos() - x * tilt.sin()
    galaxy = draw(0.4, 0.8) * (-(along.square() + (across / ratio).square()) / 0.04).exp()
    radius, heading, spread = draw(0.4, 0.6), draw(0.0, 2 * math.pi), draw(1.5, 6.0)
    ring = (-(torch.hypot(x, y) - radius).square() / 0.012).exp()
    arc = ring * (spread * ((torch.atan2(y, x) - heading).cos() - 1.0)).exp()
    place, flux = draw(0.0, 2 * math.pi, 3), draw(0.2, 0.8, 3)
    far = (x - radius * place.cos()).square() + (y - radius * place.sin()).square()  # (B, 3, size, size)
    return (galaxy + arc + (flux * (-far / 0.012).exp()).sum(1, keepdim=True)).float()


def _act(element: tuple[int, bool], images: Tensor) -> Tensor:
    turns, mirror = element
    return torch.rot90(images.flip(-1) if mirror else images, turns, (-2, -1))


def _disc(side: int, like: Tensor) -> Tensor:
    """(side, side): 1 where a pixel's centre lies in the inscribed disc."""
    line = torch.arange(side, device=like.device, dtype=like.dtype) - (side - 1) / 2
    return (line.square() + line.square()[:, None] <= (side / 2) ** 2).to(like.dtype)
