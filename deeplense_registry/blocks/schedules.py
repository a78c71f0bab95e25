"""Schedules as pure functions of the step, so that a resumed run needs no memory of them."""

from __future__ import annotations

import math


def cosine(start: float, end: float, fraction: float) -> float:
    """From ``start`` at fraction 0 along half a cosine to ``end`` at fraction 1 (and beyond it).

    ``end + (start - end) (1 + cos(pi f)) / 2``, as in Loshchilov & Hutter, arXiv:1608.03983, equation 5.
    """
    fraction = min(max(fraction, 0.0), 1.0)
    return end + (start - end) * (1.0 + math.cos(math.pi * fraction)) / 2.0


def warmup_cosine(peak: float, end: float, step: int, steps: int, warmup: int) -> float:
    """A linear rise over ``warmup`` steps, ``peak / warmup`` at step 0, then a cosine to ``end`` at the last step."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return cosine(peak, end, (step - warmup) / max(steps - 1 - warmup, 1))
