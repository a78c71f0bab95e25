"""Freed memory stays with the process, to be used again.

Tensors above 32 MiB are mapped and unmapped by glibc at each step, and every page of them is cleared by the kernel
anew. Kept, a step of the Equivariant Transformer takes half of the time (benchmarks/bench_allocation.py), and one of
networks with smaller tensors no longer than before. The peak is the same, it is only held.
"""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell the C library, and return whether it listened.

    Only glibc on Linux does; where MALLOC_* is set in the environment, that stands.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return bool(mallopt and mallopt(_MMAP_THRESHOLD, _LARGEST) and mallopt(_TRIM_THRESHOLD, _LARGEST))
