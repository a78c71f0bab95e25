"""What is known of an archive once it was read, and how that is kept as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import asdict, fields, frozen

from deeplense_registry import ImageShape, Target

from .decode import Form
from .scan import Found


@frozen(eq=False)
class Row:
    """One image, and how to read it again; attributes as of :class:`Found`."""

    container: int
    title: str
    name: str
    start: int
    size: int
    form: Form
    folder: str
    label: str | None
    mass: float | None
    value: float | None
    digest: str

    @classmethod
    def of(cls, image: Found) -> Row:
        """Of an image that was found."""
        return cls(form=image.form, **{key: getattr(image, key) for key in _KEYS})


_KEYS = tuple(field.name for field in fields(Row) if field.name != "form")


@frozen(eq=False)
class Survey:
    """What an archive holds.

    Attributes:
        paths: The archive, and the test archive if there is one.
        shape: (C, H, W) of every image.
        classes: In label order.
        splits: The images of each split, in the order in which they are read best.
        notes: What a reader of the card should know, a sentence each.
        warnings: What somebody should be told.
        pictures: Whether they were JPEG or PNG.
    """

    paths: tuple[Path, ...]
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    splits: Mapping[str, tuple[Row, ...]]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    pictures: bool

    @property
    def image_shape(self) -> ImageShape:
        """The shape of one image."""
        return ImageShape(*self.shape)

    def counts(self) -> dict[str, int]:
        """Images in each split."""
        return {split: len(rows) for split, rows in self.splits.items()}

    def targets(self) -> dict[str, Target]:
        """What is known of the images."""
        rows = [row for rows in self.splits.values() for row in rows]
        targets = {}
        if self.classes:
            targets["class"] = Target(classes=self.classes, about="The class folder or label of the image.")
        if any(row.mass is not None and row.label == "axion" for row in rows):
            about = "Of the axion mass in eV; other classes have none."
            targets["log10_axion_mass"] = Target(unit="dex", about=about)
        if any(row.mass is not None and row.label is None for row in rows):
            targets["mass"] = Target(about="The number beside the image, as published; its unit is not.")
        if any(row.value is not None for row in rows):
            targets["label"] = Target(about="The number in the file of labels, as published.")
        return targets


def dump(result: Survey) -> dict[str, Any]:
    """As JSON has it: forms once each, rows as lists: 90,000 images take about 15 MB."""
    forms = list(dict.fromkeys(row.form for rows in result.splits.values() for row in rows))
    number = {form: n for n, form in enumerate(forms)}
    return {
        **asdict(result, filter=lambda field, _: field.name not in ("splits", "paths")),
        "paths": [str(path) for path in result.paths],
        "forms": [asdict(form) for form in forms],
        "splits": {
            split: [[number[row.form], *(getattr(row, key) for key in _KEYS)] for row in rows]
            for split, rows in result.splits.items()
        },
    }


def load(value: dict[str, Any]) -> Survey:
    """The inverse of :func:`dump`."""
    forms = [Form(**{**form, "shape": tuple(form["shape"])}) for form in value["forms"]]
    splits = {
        split: tuple(Row(form=forms[number], **dict(zip(_KEYS, rest, strict=True))) for number, *rest in rows)
        for split, rows in value["splits"].items()
    }
    channels, height, width = value["shape"]
    return Survey(
        paths=tuple(map(Path, value["paths"])),
        shape=(channels, height, width),
        classes=tuple(value["classes"]),
        splits=splits,
        notes=tuple(value["notes"]),
        warnings=tuple(value["warnings"]),
        pictures=value["pictures"],
    )
