"""The options of the equivariant backbone, and what follows from them and from the trunk's without torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import attrs
from attrs import frozen, validators

from deeplense_registry import BackboneFacts, ImageShape, RunFacts, option
from deeplense_registry.components import find, load_options
from deeplense_registry.spec import structure_options

Size = tuple[int, int]
Group = Literal["rotation", "rotation-scale", "translation"]
_TURNS = ("rotation", "rotation-scale")


def _quarters(_: object, __: object, value: int) -> None:
    if value % 4 or value < 12:
        raise ValueError(f"'n_theta' is {value}; use a multiple of 4 from 12, so that a quarter turn is a whole shift")


def spread(cells: Size, size: Size) -> Size:
    """Cells (h, w) over a whole image of ``size`` (H, W), of the pitch of ``cells`` over the square in its middle."""
    side = min(size)
    return -(-cells[0] * size[0] // side), -(-cells[1] * size[1] // side)


@frozen
class EquivariantOptions:
    """``[backbone.equivariant]``."""

    trunk: str = option("The backbone that sees the canonical images: its name, as under `use`.", "levit")
    trunk_options: dict[str, Any] = option("The trunk's own options, checked as in a table of its own.", factory=dict)
    groups: tuple[Group, ...] = option(
        "What is undone, in sequence, with one interpolation at the end; none leaves D4 averaging alone. A canonical "
        "scale hides the Einstein radius, and a canonical shift needs room around the lens.",
        ("rotation",),
    )
    reflections: bool = option("Undo a mirror too: the pose is sought in each image and in its mirror image.", True)
    readout: Literal["peak", "mean", "frames"] = option(
        "The angle from its heatmap: the highest peak, the circular mean (as published; undefined where half a turn "
        "changes nothing), or several peaks, whose features are averaged with their weights.",
        "peak",
    )
    frames: int = option(
        'Peaks of readout = "frames"; the cost of the trunk grows with it.', 3, validators.ge(1), validators.le(12)
    )
    average: Literal["none", "d4"] = option(
        "Average over the 8 turns and mirrors of the square: exact, at 8 times the trunk's cost.", "none"
    )
    n_theta: int = option("Angles of the polar grid, a multiple of 4.", 96, _quarters)
    radii: int = option("Radii of the polar grid.", 32, validators.ge(8))
    channels: int = option("Width of the pose networks.", 32, validators.ge(1))
    interpolation: Literal["bilinear", "bicubic"] = option("Of the canonical image.", "bilinear")

    def __attrs_post_init__(self) -> None:
        if not self.groups and self.average == "none":
            raise ValueError('groups = [] with average = "none" leaves the trunk alone: name a group, or average')
        if self.readout == "frames" and self.groups[-1:] not in [(turn,) for turn in _TURNS]:
            raise ValueError('readout = "frames" weighs angles: let the last of groups be a rotation')

    def facts(self, shape: ImageShape) -> BackboneFacts | None:
        """The trunk's facts, as far as it tells any.

        Raises:
            PluginError: The trunk is not installed or broken.
            SpecError: One of its options is wrong.
        """
        options = self._trunk()
        if not hasattr(options, "facts"):
            return None
        facts: BackboneFacts = options.facts(self.canonical(shape))
        if not self.groups:
            return facts
        return attrs.evolve(facts, grid=spread(facts.grid, (shape.height, shape.width)), batch_norm=True)

    def canonical(self, shape: ImageShape) -> ImageShape:
        """What the trunk sees of images of ``shape``: the square about the inscribed disc; without groups all of it."""
        side = min(shape.height, shape.width)
        return ImageShape(shape.channels, side, side) if self.groups else shape

    def check(self, facts: RunFacts) -> Iterator[str]:
        """What the trunk's options find wrong before anything is built."""
        options = self._trunk()
        for text in options.check(facts) if hasattr(options, "check") else ():
            yield f"trunk_options: {text}"

    def fingerprint(self) -> str:
        """The trunk's: changes with the files that its options name."""
        trunk = self._trunk()
        return str(trunk.fingerprint()) if hasattr(trunk, "fingerprint") else ""

    def _trunk(self) -> Any:
        cls = load_options(find("backbone", self.trunk))
        return structure_options(cls, self.trunk_options, where="trunk_options")
