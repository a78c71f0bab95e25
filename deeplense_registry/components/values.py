"""Torch-free values that options, specs and components speak in."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import Factory, field, frozen, validators

_positive = validators.ge(1)


@frozen
class ImageShape:
    """The shape of one image: ``channels`` bands of ``height`` by ``width`` pixels."""

    channels: int = field(validator=_positive)
    height: int = field(validator=_positive)
    width: int = field(validator=_positive)

    def __str__(self) -> str:
        return f"{self.channels}x{self.height}x{self.width}"


@frozen(kw_only=True)
class BackboneFacts:
    """What is known of a backbone from its options and the image's shape, before it is built.

    Attributes:
        width: D of the pooled representation.
        min_size: The smallest image side it accepts, in pixels.
        grid: ``(h, w)`` of ``Features.grid`` for an image of the full shape.
        batch_norm: Whether it normalises over the batch (then a micro-batch of one cannot train).
    """

    width: int
    min_size: int
    grid: tuple[int, int]
    batch_norm: bool


@frozen(kw_only=True)
class Target:
    """Something known of an image: its class, or a physical quantity.

    Attributes:
        classes: The names of the classes in label order; empty for a quantity.
        unit: The unit of a quantity ("arcsec", "dex"); empty for a class or a pure number.
        about: One sentence.
    """

    classes: tuple[str, ...] = ()
    unit: str = ""
    about: str = ""

    @property
    def kind(self) -> str:
        """``"class"`` or ``"quantity"``."""
        return "class" if self.classes else "quantity"


@frozen(kw_only=True)
class DatasetFacts:
    """What is known of a data set from its options, before it is made.

    Attributes:
        shape: The shape of one image.
        images: Images per split, where known ("train", "val", "test").
        targets: The targets by name.
    """

    shape: ImageShape
    images: Mapping[str, int]
    targets: Mapping[str, Target] = Factory(dict)


@frozen(kw_only=True)
class RunFacts:
    """What a method may know of the run it takes part in.

    Attributes:
        shape: The shape of one image.
        images: Images in the training split.
        batch_size: Images in a step, over all processes.
        micro_batch: Images in one forward: the unit of batch-norm statistics and of random draws.
        epochs: Passes over the training split.
        steps: Optimiser steps of the whole run; an incomplete last batch is dropped.
        backbone: Facts of the backbone at the full shape.
    """

    shape: ImageShape
    images: int
    batch_size: int
    micro_batch: int
    epochs: int
    steps: int
    backbone: BackboneFacts

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one epoch."""
        return self.images // self.batch_size
