"""Images that are read as they are needed, whatever holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from attrs import Factory, evolve, frozen
from numpy.typing import NDArray

from ...components import ImageShape, Target, UserError
from ...evaluation import labelled
from ...shards import ShardSet

Index = NDArray[np.int64]
Images = NDArray[np.float32]


@frozen(eq=False)
class Column:
    """A target of the images of a stack.

    Attributes:
        about: What it is.
        values: (N,) int with -1, or float with NaN, where an image does not have it.
    """

    about: Target
    values: NDArray[Any]

    def text(self, n: int) -> str:
        """Of image ``n``: its class, its quantity in the target's unit, or "-"."""
        if not self.known[n]:
            return "-"
        value = self.values[n]
        return self.about.classes[value] if self.about.classes else f"{value:.4g}"

    @property
    def known(self) -> NDArray[np.bool_]:
        """(N,) whether an image has it."""
        return labelled(self.values)

    @property
    def varies(self) -> bool:
        """Whether images differ in it."""
        return len(np.unique(self.values[self.known])) > 1


@frozen(eq=False)
class Stack:
    """Images in an order.

    Attributes:
        names: (N,) what they are called.
        read: From positions (n,) to flux (n, C, H, W) float32, in new memory; another thread may call it.
        where: Where they come from, for messages.
        targets: What is known of them, by name.
    """

    names: NDArray[np.str_]
    read: Callable[[Index], Images]
    where: str
    targets: Mapping[str, Column] = Factory(dict)

    def __len__(self) -> int:
        """The number of images."""
        return len(self.names)


def first(images: Stack, count: int) -> Stack:
    """The first ``count`` of the images, or all where there are fewer."""
    return evolve(images, names=images.names[:count])


def stack_of(shards: ShardSet, split: str) -> Stack:
    """The images of a split with their targets; of partners the first.

    Raises:
        UserError: There is no such split.
    """

    def read(index: Index) -> Images:
        images = shards.images(split, index)
        return images[:, 0] if images.ndim == 5 else images

    targets = {name: Column(about, shards.targets(split, name)) for name, about in shards.card.targets.items()}
    return Stack(names=shards.names(split), read=read, where=f"{shards.folder} ({split})", targets=targets)


def check_bands(channels: int, shape: ImageShape, where: object) -> None:
    """Raise UserError for images of other bands than an encoder of ``shape`` takes."""
    if channels != shape.channels:
        raise UserError(f"{where}: images of {channels} bands, but the encoder takes {shape.channels}")
