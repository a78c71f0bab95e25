"""The options of CvT, its variants, and what follows from them without torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from attrs import frozen, validators

from deeplense_registry import BackboneFacts, ImageShape, RunFacts, contents_fingerprint, option

Variant = Literal["tiny", "tiny-s2", "13", "21", "w24"]


@frozen(kw_only=True)
class Architecture:
    """A row of table 2 of the paper.

    Attributes:
        widths: C of the three stages.
        heads: Attention heads of the three stages.
        depths: Blocks of the three stages.
        stem: Stride of the first convolution, 4 or 2.
        padding: Of the first convolution, whose kernel is 7x7.
        drop_path: Rate of stochastic depth at the last block, as published.
    """

    widths: tuple[int, int, int]
    heads: tuple[int, int, int]
    depths: tuple[int, int, int]
    stem: int = 4
    padding: int = 2
    drop_path: float = 0.0

    def grids(self, height: int, width: int) -> tuple[tuple[int, int], ...]:
        """``(h, w)`` of the three stages for an image of this size; each halving rounds up."""
        rows, columns = ((side + 2 * self.padding - 7) // self.stem + 1 for side in (height, width))
        return tuple((-(-rows // step), -(-columns // step)) for step in (1, 2, 4))


def _tiny(stem: int, padding: int) -> Architecture:
    return Architecture(widths=(32, 96, 192), heads=(1, 3, 6), depths=(1, 2, 4), stem=stem, padding=padding)


ARCHITECTURES: dict[str, Architecture] = {
    "tiny": _tiny(4, 2),
    "tiny-s2": _tiny(2, 3),
    "13": Architecture(widths=(64, 192, 384), heads=(1, 3, 6), depths=(1, 2, 10), drop_path=0.1),
    "21": Architecture(widths=(64, 192, 384), heads=(1, 3, 6), depths=(1, 4, 16), drop_path=0.1),
    "w24": Architecture(widths=(192, 768, 1024), heads=(3, 12, 16), depths=(2, 2, 20), drop_path=0.3),
}
"""For lenses (two) and published (three): the last grid of a 64-pixel image is 4x4, and 8x8 for tiny-s2."""


@frozen
class CvTOptions:
    """``[backbone.cvt]``."""

    variant: Variant = option(
        "Size as published (13, 21, w24), or small for lenses (tiny; tiny-s2 has a finer grid).", "tiny"
    )
    act: Literal["quick_gelu", "gelu"] = option(
        "Activation of the MLPs: that of the published weights, or the exact GELU of other implementations.",
        "quick_gelu",
    )
    pool: Literal["cls", "mean"] = option("The representation: the class token, or the mean of the others.", "cls")
    drop_path: float | None = option(
        "Rate of stochastic depth in [0, 1) at the last block, rising from 0 over the last stage; where absent as "
        "published: 0.1 for 13 and 21, 0.3 for w24, 0 for tiny.",
        None,
        validators.optional(validators.and_(validators.ge(0.0), validators.lt(1.0))),
    )
    weights: str | None = option(
        "A file of weights in the layout of the official checkpoints: .safetensors, or torch's own.", None
    )

    @property
    def architecture(self) -> Architecture:
        """The numbers of the variant."""
        return ARCHITECTURES[self.variant]

    def facts(self, shape: ImageShape) -> BackboneFacts:
        """What is known before it is built for images of ``shape``."""
        architecture = self.architecture
        return BackboneFacts(
            width=architecture.widths[-1],
            min_size=4 * architecture.stem,
            grid=architecture.grids(shape.height, shape.width)[-1],
            batch_norm=True,
        )

    def fingerprint(self) -> str:
        """Changes with the file of weights; empty without one."""
        return contents_fingerprint([Path(self.weights)]) if self.weights else ""

    def check(self, facts: RunFacts) -> Iterator[str]:
        """What is wrong before anything is built."""
        if self.weights is not None and not Path(self.weights).is_file():
            yield f"weights: no file {self.weights}"
