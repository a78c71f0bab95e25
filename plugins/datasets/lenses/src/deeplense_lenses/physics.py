"""From lenses to noiseless images: batched ray tracing with the functions of caustics.

caustics: Stone et al. 2024, arXiv:2406.15542. Each pixel is the surface brightness at its centre times its area, as in
lenstronomy without supersampling. Column j and row i look at x = (j - (W - 1) / 2) pixel_scale and y likewise, in
arcsec from the lens's centre.

The image of a lens is the same to the bit whatever it is batched with: :class:`RayTracer` says how.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import atan2, hypot, sqrt

import torch
from caustics.lenses import func as lens
from caustics.light import func as light
from torch import Tensor

from .recipes import Lens, Recipe

CORE = 1e-12
"""Arcsec; far below rounding, it keeps a ray through a mass itself finite."""


class RayTracer:
    """Traces the rays of whole batches.

    Everything that runs per batch rounds alike at every position of a tensor (arithmetic, square roots, ``exp``), so
    that no bit of an image depends on its batch. ``atanh`` does not (the scalar tail of a vectorised loop differs from
    the rest), but the ellipsoid's deflection is its Einstein radius times a map of the grid alone: made once.
    """

    def __init__(self, recipe: Recipe, size: int, pixel_scale: float, dtype: torch.dtype = torch.float32) -> None:
        """Prepare for images of ``size`` x ``size`` pixels of ``pixel_scale`` arcsec, computed in ``dtype``."""
        axis = (torch.arange(size, dtype=torch.float64) - (size - 1) / 2) * pixel_scale
        self.recipe = recipe
        self.pixel_area = pixel_scale**2
        self.dtype = dtype
        self.x = axis.to(dtype)[None, None, :]  # (1, 1, W)
        self.y = axis.to(dtype)[None, :, None]  # (1, H, 1)
        self._ellipsoid = _unit_ellipsoid(recipe.ellipticity, axis).to(dtype)  # (2, H, W)

    def __call__(self, lenses: Sequence[Lens]) -> Tensor:
        """Noiseless images (B, H, W) before the PSF, in counts per second and pixel."""
        source = torch.tensor([one.source for one in lenses], dtype=self.dtype)  # (B, 2)
        ax, ay = self.deflection(lenses)
        return self._brightness(self.x - ax, self.y - ay, source) * self.pixel_area

    def deflection(self, lenses: Sequence[Lens]) -> tuple[Tensor, Tensor]:
        """Reduced deflection angles along x and y, (B, H, W) each, in arcsec."""
        radius = torch.tensor([one.einstein_radius for one in lenses], dtype=self.dtype)[:, None, None]
        shear = lens.reduced_deflection_angle_external_shear(0.0, 0.0, *self.recipe.shear, self.x, self.y)
        points = self._points(lenses)
        return (
            points[0] + radius * self._ellipsoid[0] + shear[0],
            points[1] + radius * self._ellipsoid[1] + shear[1],
        )

    def _points(self, lenses: Sequence[Lens]) -> Tensor:
        """Deflection (2, B, H, W) by the point masses, one mass of each lens at a time.

        Images times masses at once would be bound by memory. Lenses with many masses come first, so that those that
        still have one are a slice.
        """
        order = sorted(range(len(lenses)), key=lambda row: -len(lenses[row].points))
        counts = [len(lenses[row].points) for row in order]
        masses = torch.zeros(len(order), max(counts, default=0), 3, dtype=self.dtype)  # (B, N, 3)
        for row, which in enumerate(order):
            masses[row, : counts[row]] = torch.from_numpy(lenses[which].points)
        total = torch.zeros(2, len(order), self.y.shape[1], self.x.shape[2], dtype=self.dtype)
        for n in range(masses.shape[1]):
            live = sum(count > n for count in counts)
            x, y, radius = masses[:live, n, :, None, None].unbind(1)  # (live, 1, 1) each
            ax, ay = lens.reduced_deflection_angle_point(x, y, radius, self.x, self.y, s=CORE)
            total[0, :live] += ax
            total[1, :live] += ay
        unsorted = torch.empty_like(total)
        unsorted[:, order] = total
        return unsorted

    def _brightness(self, x: Tensor, y: Tensor, centre: Tensor) -> Tensor:
        """The Sersic source at (x, y) (B, H, W) in the source plane, in counts per second and square arcsec."""
        recipe = self.recipe
        q, phi = _axis_ratio_and_angle(recipe.source_ellipticity)
        brightness: Tensor = light.brightness_sersic(
            *centre.T[:, :, None, None],
            q,
            torch.tensor(phi, dtype=torch.float64),
            recipe.source_index,
            recipe.source_radius / sqrt(q),  # caustics measures the radius along the major axis
            recipe.source_brightness,
            x,
            y,
            recipe.sersic_b,
        )
        return brightness


def _unit_ellipsoid(ellipticity: tuple[float, float], axis: Tensor) -> Tensor:
    """Deflection (2, H, W) by a singular isothermal ellipsoid of Einstein radius 1.

    Row by row, for ``atanh``: the ends of a long vectorised loop would lie elsewhere with another number of threads.
    """
    q, phi = (torch.tensor(value, dtype=torch.float64) for value in _axis_ratio_and_angle(ellipticity))
    rows = [
        torch.stack(lens.reduced_deflection_angle_sie(0.0, 0.0, q, phi, 1.0, axis, y, s=CORE)) for y in axis
    ]  # (2, W) each
    return torch.stack(rows, dim=1)


def _axis_ratio_and_angle(ellipticity: tuple[float, float]) -> tuple[float, float]:
    e1, e2 = ellipticity
    e = hypot(e1, e2)
    return (1 - e) / (1 + e), atan2(e2, e1) / 2
