"""The Dataset interface: a source of images, read once and made into shards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from attrs import Factory, frozen
from numpy.typing import NDArray

from ..components import DatasetCard


@frozen(eq=False)
class Sample:
    """One image with what is known of it.

    Attributes:
        name: The source's own name of it, unique within a split.
        image: (C, H, W) float32 of the card's shape, finite; (P, C, H, W) with P partners.
        targets: By the names of the card: the index of the class, or the quantity in its unit. A target that is not
            known, or not defined, for this image is absent; nothing is imputed.
        meta: Numbers and strings worth keeping (drawn parameters, PSF width, noise, E(B-V), provenance).
    """

    name: str
    image: NDArray[np.float32]
    targets: Mapping[str, int | float] = Factory(dict)
    meta: Mapping[str, float | int | str] = Factory(dict)


class Dataset(ABC):
    """A source. The core asks for each split once and writes what comes into shards; nothing else reads the source."""

    def __init__(self, options: Any) -> None:
        """Open the source; ``options`` is an instance of the component's options class."""
        self.options = options

    @abstractmethod
    def card(self) -> DatasetCard:
        """What the images are."""

    @abstractmethod
    def samples(self, split: str, part: int, parts: int) -> Iterator[Sample]:
        """Part ``part`` of ``parts`` of a split.

        Parts are contiguous: part 0 to part ``parts - 1``, one after the other, are the whole split in one order, for
        every ``parts``. They are read in separate processes, and a part that is read again gives the same bytes.
        """
