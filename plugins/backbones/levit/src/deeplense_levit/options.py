"""The options of LeViT, its variants, and what follows from them without torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from attrs import frozen, validators

from deeplense_registry import BackboneFacts, ImageShape, RunFacts, contents_fingerprint, option

Variant = Literal["128s-s8", "128s-s4", "128s", "128", "192", "256", "384"]


@frozen(kw_only=True)
class Architecture:
    """A row of table 1 of the paper.

    Attributes:
        widths: C of the three stages.
        key_width: D, the width of a head's queries and keys.
        heads: Attention heads of the three stages.
        depths: Blocks of the three stages.
        stem: Convolutions of the stem; each halves the image, so the first grid has 1 / 2**stem of its side.
    """

    widths: tuple[int, int, int]
    key_width: int
    heads: tuple[int, int, int]
    depths: tuple[int, int, int]
    stem: int = 4

    def grids(self, height: int, width: int) -> tuple[tuple[int, int], ...]:
        """``(h, w)`` of the three stages for an image of this size; each halving rounds up."""
        return tuple((_halved(height, self.stem + i), _halved(width, self.stem + i)) for i in range(3))


def _halved(side: int, times: int) -> int:
    return -(-side // (1 << times))


def _small(stem: int) -> Architecture:
    return Architecture(widths=(128, 256, 384), key_width=16, heads=(4, 6, 8), depths=(2, 3, 4), stem=stem)


ARCHITECTURES: dict[str, Architecture] = {
    "128s-s8": _small(3),
    "128s-s4": _small(2),
    "128s": _small(4),
    "128": Architecture(widths=(128, 256, 384), key_width=16, heads=(4, 8, 12), depths=(4, 4, 4)),
    "192": Architecture(widths=(192, 288, 384), key_width=32, heads=(3, 5, 6), depths=(4, 4, 4)),
    "256": Architecture(widths=(256, 384, 512), key_width=32, heads=(4, 6, 8), depths=(4, 4, 4)),
    "384": Architecture(widths=(384, 512, 768), key_width=32, heads=(6, 9, 12), depths=(4, 4, 4)),
}
"""Published (five) and for lenses (two): the first grid of a 64-pixel image is 4x4, 8x8 (s8) or 16x16 (s4)."""


@frozen
class LeViTOptions:
    """``[backbone.levit]``."""

    variant: Variant = option(
        "Size as published (128s to 384, stride 16), or with a shorter stem for small images (stride 8 or 4).",
        "128s-s8",
    )
    drop_path: float = option(
        "Rate of stochastic depth in [0, 1), the same for every block; published: 0, and 0.1 for 384.",
        0.0,
        validators.ge(0.0),
        validators.lt(1.0),
    )
    weights: str | None = option(
        "A file of weights in the layout of the official checkpoints or of timm's: .safetensors, or torch's own.", None
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
            min_size=1 << architecture.stem,
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
