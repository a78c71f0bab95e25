"""What a bench stands on: who gives it images and targets, and who takes what evaluators show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Images(Protocol):
    """Where images and targets come from, by position in a split: shards, or arrays."""

    def count(self, split: str) -> int:
        """The number of images in the split."""

    def images(self, split: str, index: NDArray[np.int64]) -> NDArray[Any]:
        """(n, C, H, W) at ``index`` (n,); with partners (n, P, C, H, W)."""

    def targets(self, split: str, target: str) -> NDArray[Any]:
        """(N,) int64 with -1 where a class is absent, float64 with NaN where a quantity is absent."""

    def names(self, split: str) -> NDArray[np.str_]:
        """(N,) the source's own names."""

    def meta(self, split: str, name: str) -> NDArray[np.float64]:
        """(N,) of a number in meta, NaN where absent."""


class Shown(Protocol):
    """Who takes what an evaluator shows beside its measurements."""

    def picture(self, name: str, image: NDArray[np.float32]) -> None:
        """A picture."""

    def keep(self, name: str, content: bytes) -> None:
        """A file."""

    def projector(
        self,
        name: str,
        vectors: NDArray[np.float32],
        labels: Mapping[str, Sequence[str]],
        thumbnails: NDArray[np.float32] | None,
    ) -> None:
        """Points of a space."""
