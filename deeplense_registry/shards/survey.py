"""What foreign tars hold, found by walking through them once: shape and type, classes and quantities, counts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import Factory, define, frozen

from ..components import DatasetCard, ImageShape, Target, UserError
from .foreign import VALUES, known_values, mapped, member_bytes
from .manifest import DType
from .picture import Form, image_ending, image_form
from .tars import Entry, Tar, entries

if TYPE_CHECKING:
    from ..spec import ShardsOptions

MOST_CLASSES = 10_000

CLASSES = ("class", "label", "cls")
"""Keys of a ``.json`` that hold a class, by number or name; other numbers are quantities, other texts are meta."""


@frozen
class Survey:
    """What was found in foreign tars.

    Attributes:
        card: The card of all of them.
        counts: Samples in each tar.
        dtype: That of all images where they can be read in place; else ``None``.
    """

    card: DatasetCard
    counts: Mapping[Tar, int]
    dtype: DType | None


def survey(tars: Sequence[Tar], options: ShardsOptions) -> Survey:
    """Walk through the tars: headers of images, and the small members, are read; no pixels.

    Raises:
        UserError: ``pixel_scale`` is not given, a tar or member is damaged or refused, a sample has no image, images
            are of several shapes, or a target is sometimes a number and sometimes text.
    """
    scale = pixel_scale(options)
    found = _Findings()
    for tar in tars:
        samples = entries(tar)
        view = mapped(tar)
        for entry in samples:
            found.add(tar, entry, view)
    shape, dtype = found.shape_and_type()
    return Survey(_card(tars, found, shape, options, scale), dict(found.counts), dtype)


def pixel_scale(options: ShardsOptions) -> float:
    """What the tars cannot say themselves.

    Raises:
        UserError: Nor do the options.
    """
    if options.pixel_scale is None:
        raise UserError(f"{options.path} has tars without a manifest: give pixel_scale, in arcseconds per pixel")
    return options.pixel_scale


def common_folder(tars: Sequence[Tar]) -> Path:
    """The folder that all of them lie in."""
    return Path(os.path.commonpath([tar.path.parent for tar in tars]))


@define
class _Field:
    """What a key of the ``.json`` members holds, over all samples."""

    texts: set[str] = Factory(set)
    numbers: set[type] = Factory(set)
    largest: float = 0


@define
class _Findings:
    """What a survey gathers."""

    forms: dict[tuple[tuple[int, ...], DType | None], str] = Factory(dict)  # with the first sample of each
    counts: Counter[Tar] = Factory(Counter)
    fields: dict[str, _Field] = Factory(dict)
    left_out: set[str] = Factory(set)

    def add(self, tar: Tar, entry: Entry, view: memoryview) -> None:
        where = f"{tar.path}: {entry.key}"
        ending = image_ending(entry.members, where)
        form = image_form(f"{where}.{ending}", member_bytes(view, entry, ending))
        self.forms.setdefault((form.shape, _readable(form, entry.members[ending][0], tar)), where)
        self.counts[tar] += 1
        self.left_out |= entry.members.keys() - {ending, *VALUES}
        for name, value in known_values(tar, entry, view)[0].items():
            field = self.fields.setdefault(name, _Field())
            if isinstance(value, str):
                field.texts.add(value if name in CLASSES else "text")  # names of objects may be as many as samples
            else:
                field.numbers.add(type(value))
                field.largest = max(field.largest, value)

    def shape_and_type(self) -> tuple[tuple[int, ...], DType | None]:
        shapes = {shape: where for (shape, _), where in self.forms.items()}
        if len(shapes) > 1:
            (one, first), (other, second) = list(shapes.items())[:2]
            raise UserError(f"images are of several shapes: {one} in {first}, {other} in {second}; crop them to one")
        if not shapes:
            raise UserError("the tars hold no samples; write them anew")
        types = {dtype for _, dtype in self.forms}
        return next(iter(shapes)), types.pop() if len(types) == 1 else None


def _readable(form: Form, offset: int, tar: Tar) -> DType | None:
    """The type of an image that the reader can map: at a multiple of its size, in a tar that is one too."""
    size = {"float32": 4, "float16": 2, None: 1}[form.dtype]
    return form.dtype if (offset + form.start) % size == 0 and tar.size % size == 0 else None


def _card(
    tars: Sequence[Tar], found: _Findings, shape: tuple[int, ...], options: ShardsOptions, scale: float
) -> DatasetCard:
    folder = common_folder(tars)
    bands = options.bands or tuple(f"channel-{number + 1}" for number in range(shape[0]))
    if len(bands) != shape[0]:
        raise UserError(f"{folder}: images have {shape[0]} bands, and {len(bands)} are named; name each")
    splits: Counter[str] = Counter()
    for tar in tars:
        splits[tar.split] += found.counts[tar]
    left = f" Left out: {', '.join(sorted(found.left_out))}." if found.left_out else ""
    return DatasetCard(
        name=folder.name,
        shape=ImageShape(*shape),
        bands=bands,
        pixel_scale=scale,
        targets=dict(_targets(found.fields, options.classes, folder)),
        splits=dict(splits),
        about=f"From {len(tars)} WebDataset tars that had no manifest; pixel values as they were.{left}",
    )


def _targets(fields: Mapping[str, _Field], classes: tuple[str, ...], folder: Path) -> Iterator[tuple[str, Target]]:
    for name, field in sorted(fields.items()):
        if field.texts and field.numbers:
            raise UserError(f"{folder}: {name!r} is a number in some samples and text in others; make it one of them")
        if name in CLASSES:
            yield name, Target(classes=_classes(name, field, classes, folder))
        elif field.numbers:
            yield name, Target()


def _classes(name: str, field: _Field, given: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    if float in field.numbers:
        raise UserError(f"{folder}: {name!r} holds fractions; a class is a whole number or a name")
    if field.texts:
        if given and not field.texts <= {*given}:
            raise UserError(f"{folder}: {name!r} holds {min(field.texts - {*given})!r}, which classes does not name")
        return given or tuple(sorted(field.texts))
    if given and field.largest >= len(given):
        raise UserError(f"{folder}: {name!r} goes up to {field.largest}, and classes names {len(given)}; name each")
    if field.largest >= MOST_CLASSES:
        raise UserError(f"{folder}: {name!r} goes up to {field.largest}: no class but a number; call it otherwise")
    return given or tuple(str(number) for number in range(int(field.largest) + 1))
