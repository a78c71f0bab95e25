"""From lenses to noiseless images: batched ray tracing with the functions of caustics.

caustics: Stone et al. 2024, arXiv:2406.15542. Each pixel is the surface brightness at its centre times its area, as in
lenstronomy without supersampling. Column j and row i look at x = (j - (W - 1) / 2) pixel_scale and y likewise, in
arcsec from the lens's centre.

The image of a lens is the same to the bit whatever it is batched with: :class:`RayTracer` says how.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import atan2, hypot, sqrt

import torch
from caustics.lenses import func as lens
from caustics.light import func as light
from torch import Tensor

from .draws import Lens
from .light import Sersic

CORE = 1e-12
"""Arcsec; far below rounding, it keeps a ray through a mass itself finite."""
PIECE = 2**14
"""Pixels of one image that are computed at once where rounding may depend on how a tensor is cut: torch leaves so few
to one thread."""


class RayTracer:
    """Traces the rays of whole batches.

    What runs per batch rounds alike at every position of a tensor (arithmetic and square roots). ``atanh`` and powers
    do not (the scalar tail of a vectorised loop differs from the rest), so ellipsoids and profiles are made one image
    at a time, in pieces that depend on the image's size alone.
    """

    def __init__(self, size: int, pixel_scale: float, dtype: torch.dtype = torch.float32) -> None:
        """Prepare for images of ``size`` x ``size`` pixels of ``pixel_scale`` arcsec, computed in ``dtype``."""
        self.axis = (torch.arange(size, dtype=torch.float64) - (size - 1) / 2) * pixel_scale
        self.pixel_area = pixel_scale**2
        self.dtype = dtype
        self.x = self.axis.to(dtype)[None, None, :]  # (1, 1, W)
        self.y = self.axis.to(dtype)[None, :, None]  # (1, H, 1)
        self.rows = max(1, PIECE // size)
        self._ellipsoid = lru_cache(maxsize=1)(self._unit_ellipsoid)  # published lenses have one ellipticity

    def rays(self, lenses: Sequence[Lens]) -> Tensor:
        """Where the pixels' rays meet the source plane: (2, B, H, W), x and y in arcsec."""
        x, y = self.deflection(lenses)
        torch.sub(self.x, x, out=x)
        torch.sub(self.y, y, out=y)
        return torch.stack([x, y])

    def deflection(self, lenses: Sequence[Lens]) -> Tensor:
        """Reduced deflection angles (2, B, H, W) along x and y, in arcsec."""
        radius = torch.tensor([one.einstein_radius for one in lenses], dtype=self.dtype)[:, None, None, None]
        ellipsoid = radius * torch.stack([self._ellipsoid(one.ellipticity) for one in lenses])  # (B, 2, H, W)
        gamma = torch.tensor([one.shear for one in lenses], dtype=self.dtype).T[..., None, None]  # (2, B, 1, 1)
        shear = lens.reduced_deflection_angle_external_shear(0.0, 0.0, *gamma, self.x, self.y)
        total = self._points(lenses)
        for component, main, outer in zip(total, ellipsoid.unbind(1), shear, strict=True):
            component.add_(main).add_(outer)
        return total

    def lensed(self, sources: Sequence[Sersic], rays: Tensor) -> Tensor:
        """Images (B, H, W) of sources behind the lenses of ``rays`` (2, B, H, W), in counts per second and pixel."""
        return self._images(sources, rays[0], rays[1])

    def unlensed(self, profiles: Sequence[Sersic]) -> Tensor:
        """Images (B, H, W) of what is not lensed, in counts per second and pixel."""
        shape = (len(profiles), self.y.shape[1], self.x.shape[2])
        return self._images(profiles, self.x.expand(shape), self.y.expand(shape))

    def _points(self, lenses: Sequence[Lens]) -> Tensor:
        """Deflection (2, B, H, W) by the point masses, one mass of each lens at a time.

        Images times masses at once would be bound by memory. Lenses with many masses come first, so that those that
        still have one are a slice.
        """
        order = sorted(range(len(lenses)), key=lambda row: -len(lenses[row].points))
        counts = [len(lenses[row].points) for row in order]
        masses = torch.zeros(max(counts, default=0), len(order), 3, 1, 1, dtype=self.dtype)  # (N, B, 3, 1, 1)
        for row, which in enumerate(order):
            masses[: counts[row], row, :, 0, 0] = torch.from_numpy(lenses[which].points)
        live = [sum(count > n for count in counts) for n in range(len(masses))]
        total = self._sum_points(masses, live)
        unsorted = torch.empty_like(total)
        unsorted[:, order] = total
        return unsorted

    def _sum_points(self, masses: Tensor, live: Sequence[int]) -> Tensor:
        """Deflection (2, B, H, W) by ``masses`` (N, B, 3, 1, 1), of which the first ``live[n]`` lenses have an n-th.

        caustics's point mass, x R^2 / |x|^2, to the bit, but in place: it is most of the work.
        """
        x, y, square = self.x - masses[:, :, 0], self.y - masses[:, :, 1], masses[:, :, 2] ** 2  # (N, B, 1, W), ...
        x_square, y_square = x**2 + CORE**2, y**2
        x, y = x * square, y * square
        total = torch.zeros(2, masses.shape[1], self.y.shape[1], self.x.shape[2], dtype=self.dtype)
        distance = torch.empty_like(total[0])
        for n, count in enumerate(live):
            square = torch.add(x_square[n, :count], y_square[n, :count], out=distance[:count]).sqrt_().square_()
            total[0, :count].addcdiv_(x[n, :count], square)
            total[1, :count].addcdiv_(y[n, :count], square)
        return total

    def _unit_ellipsoid(self, ellipticity: tuple[float, float]) -> Tensor:
        """Deflection (2, H, W) by a singular isothermal ellipsoid of Einstein radius 1."""
        q, phi = (torch.tensor(value, dtype=torch.float64) for value in _axis_ratio_and_angle(ellipticity))
        pieces = [
            torch.stack(lens.reduced_deflection_angle_sie(0.0, 0.0, q, phi, 1.0, self.axis, y[:, None], s=CORE))
            for y in torch.split(self.axis, self.rows)
        ]  # (2, rows, W) each
        return torch.cat(pieces, dim=1).to(self.dtype)

    def _images(self, profiles: Sequence[Sersic], x: Tensor, y: Tensor) -> Tensor:
        images = torch.empty(x.shape, dtype=self.dtype)
        for image, profile, *places in zip(images, profiles, x, y, strict=True):
            pieces = (torch.split(one, self.rows) for one in (image, *places))
            for piece, columns, rows in zip(*pieces, strict=True):
                torch.mul(_brightness(profile, columns, rows), self.pixel_area, out=piece)
        return images


def _brightness(profile: Sersic, x: Tensor, y: Tensor) -> Tensor:
    """Of a profile at x and y, in counts per second and square arcsec."""
    q, phi = _axis_ratio_and_angle(profile.ellipticity)
    brightness: Tensor = light.brightness_sersic(
        *profile.centre,
        q,
        torch.tensor(phi, dtype=torch.float64),
        profile.index,
        profile.radius / sqrt(q),  # caustics measures the radius along the major axis
        profile.brightness,
        x,
        y,
        profile.b,
    )
    return brightness


def _axis_ratio_and_angle(ellipticity: tuple[float, float]) -> tuple[float, float]:
    e1, e2 = ellipticity
    e = hypot(e1, e2)
    return (1 - e) / (1 + e), atan2(e2, e1) / 2
