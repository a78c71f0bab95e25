"""Random numbers, one an image, from the generator that is handed down."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def uniform(low: float, high: float, shape: int | tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Float32 numbers of ``shape``, uniform in [low, high), on the generator's device."""
    size = (shape,) if isinstance(shape, int) else shape
    return torch.rand(size, generator=generator, device=generator.device) * (high - low) + low


def log_uniform(low: float, high: float, shape: int | tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Float32 numbers of ``shape`` whose logarithm is uniform between those of ``low`` and ``high``, both above 0."""
    return uniform(math.log(low), math.log(high), shape, generator).exp()


def chance(probability: float, count: int, generator: torch.Generator) -> Tensor:
    """(count,) bool, true with ``probability``: never for 0, always for 1."""
    return torch.rand(count, generator=generator, device=generator.device) < probability
