"""What the sky and the instrument do to flux: reddening, PSF, noise, and hidden pixels."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor

from ..components import UserError
from .draws import uniform

EXTINCTION: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        # Schlafly & Finkbeiner 2011 (arXiv:1012.4804), table 6, R_V = 3.1; used for SDSS by Hayat et al. 2021
        # (arXiv:2012.13083).
        "sdss": {"u": 4.239, "g": 3.303, "r": 2.285, "i": 1.698, "z": 1.263},
        # Legacy Surveys' catalogue documentation; g, r, z as in Stein et al. 2021 (arXiv:2110.13151), whose 1.2856,
        # 0.866 and 0.4844 are 0.4 times these.
        "decam": {"u": 3.995, "g": 3.214, "r": 2.165, "i": 1.592, "z": 1.211, "y": 1.064},
        # Schlafly & Finkbeiner 2011, table 6, R_V = 3.1.
        "lsst": {"u": 4.145, "g": 3.237, "r": 2.273, "i": 1.684, "z": 1.323, "y": 1.088},
    }
)
"""R_b = A_b / E(B-V), with E(B-V) of Schlegel, Finkbeiner & Davis 1998, by camera and band."""

_NAME = re.compile(r"(?:(?P<camera>[A-Za-z]+)[-_. ])?(?P<letter>[ugrizyY])")


def extinction(bands: Sequence[str]) -> tuple[float, ...]:
    """R_b of each band.

    A band is named with its camera ("sdss-u", "DECam_g", "legacy-z", "LSST y"), or by its letter alone. Bare letters
    are of one camera: g, r, z alone are DECam's; otherwise letters of u, g, r, i, z are SDSS's; with y they are LSST's.

    Raises:
        UserError: A band whose coefficient is not known.
    """
    parts = [_NAME.fullmatch(band) for band in bands]
    default = _camera({match["letter"].lower() for match in parts if match and not match["camera"]})
    found = [_coefficient(match, default) for match in parts]
    unknown = [band for band, value in zip(bands, found, strict=True) if value is None]
    if unknown:
        known = "; ".join(f"{camera}-{{{','.join(letters)}}}" for camera, letters in EXTINCTION.items())
        raise UserError(
            f"[views] reddening needs R_b of every band, and knows none for {', '.join(map(repr, unknown))}. Known: "
            f"{known}, or their letters alone; name the bands so in the data set, or set reddening = [0.0, 0.0]"
        )
    return tuple(value for value in found if value is not None)


def redden(images: Tensor, excess: Tensor, coefficients: Sequence[float]) -> Tensor:
    """``images`` (B, C, H, W) behind dust of ``excess`` (B,), E(B-V) in magnitudes; negative removes dust.

    Transmission is 10**(-0.4 R_b E) in a band of coefficient R_b.
    """
    factors = 10 ** (-0.4 * excess[:, None] * torch.tensor(coefficients, device=images.device))  # (B, C)
    return images * factors[..., None, None]


def lacking(target: Tensor, own: Tensor) -> Tensor:
    """What must be added in quadrature to ``own`` to reach ``target``; 0 where it is there already.

    sqrt(max(0, target**2 - own**2)), as Stein et al. 2021 (arXiv:2110.13151) do for noise and PSF.
    """
    return (target.square() - own.square()).clamp_min(0.0).sqrt()


def blur(images: Tensor, sigma: Tensor, largest: float) -> Tensor:
    """``images`` (B, C, H, W), each smoothed by its own Gaussian of ``sigma`` (B,) pixels, at most ``largest``.

    Beyond the edge the outermost pixel is repeated. The kernel is separable and reaches beyond 4 ``largest``.
    """
    count, channels, height, width = images.shape
    radius = math.ceil(4 * largest) + 1
    weight = kernels(sigma.square(), radius).to(images.dtype).repeat_interleave(channels, dim=0)  # (B * C, K)
    flat = images.reshape(1, count * channels, height, width)
    rows = F.conv2d(_extend(flat, (radius, radius, 0, 0)), weight[:, None, None, :], groups=count * channels)
    both = F.conv2d(_extend(rows, (0, 0, radius, radius)), weight[:, None, :, None], groups=count * channels)
    return both.view(count, channels, height, width)


def kernels(variance: Tensor, radius: int) -> Tensor:
    """(B, 2 radius + 1) float64, the discrete Gaussian of each ``variance`` (B,), in pixels squared; each sums to 1.

    Its transform is exp(variance (cos(w) - 1)) (Lindeberg 1990, IEEE PAMI 12, 234). Unlike a sampled Gaussian it has
    exactly this variance, however narrow, and two of them make the one of the summed variance, so that widths add in
    quadrature.
    """
    step = torch.arange(-radius, radius + 1, device=variance.device, dtype=torch.float64)  # (K,)
    count = 4 * radius + 4  # frequencies; the kernel repeats after as many pixels
    angle = torch.arange(count, device=variance.device, dtype=torch.float64) * (2 * math.pi / count)
    spectrum = torch.exp(variance.double()[:, None] * (angle.cos() - 1))  # (B, frequencies)
    weight = (spectrum @ torch.cos(angle[:, None] * step)).clamp_min(0.0)
    return weight / weight.sum(dim=1, keepdim=True)


def add_noise(images: Tensor, sigma: Tensor, generator: torch.Generator) -> Tensor:
    """``images`` (B, C, H, W) with independent normal noise of ``sigma`` (B, C), in the images' unit."""
    noise = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
    return noise.mul_(sigma[..., None, None]).add_(images)


def hide(images: Tensor, fraction: Tensor, generator: torch.Generator) -> Tensor:
    """``images`` (B, C, H, W) with one rectangle of the image's shape (a square in a square) set to 0, anywhere inside.

    It covers ``fraction`` (B,) of the area, to the nearest whole pixel of each side, in every band.
    """
    sides = torch.tensor(images.shape[-2:], device=images.device)
    length = (fraction.sqrt()[:, None] * sides).round()  # (B, 2)
    start = (uniform(0.0, 1.0, (len(images), 2), generator) * (sides - length + 1)).floor()
    start = torch.minimum(start, sides - length)  # float32 may round a product up to its bound
    rows, columns = (
        (pixel >= start[:, axis, None]) & (pixel < (start + length)[:, axis, None])
        for axis, pixel in enumerate(torch.arange(int(side), device=images.device) for side in images.shape[-2:])
    )  # (B, H) and (B, W)
    return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)


def _camera(letters: set[str]) -> str:
    if letters == {"g", "r", "z"}:
        return "decam"
    return "lsst" if "y" in letters else "sdss"


def _coefficient(match: re.Match[str] | None, default: str) -> float | None:
    if match is None:
        return None
    camera = (match["camera"] or default).lower()
    return EXTINCTION.get("decam" if camera == "legacy" else camera, {}).get(match["letter"].lower())


def _extend(images: Tensor, by: tuple[int, int, int, int]) -> Tensor:
    return F.pad(images, by, mode="replicate")
