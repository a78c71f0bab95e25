"""One pass over every file: what images there are, how they lie in their files, and which cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from attrs import Factory, define, field
from numpy.typing import NDArray

from deeplense_registry import UserError

from .container import DAMAGE, Container, Entry, truncated
from .decode import Decoded, Form, decode, read_header, rows
from .layout import labels_key, place, stack_split

PICTURES = (".jpg", ".jpeg", ".png")
INDICES = ("indices.pkl", "indices.json")


@define(eq=False)
class Found:
    """One image that can be read.

    Attributes:
        container: 0 of the archive, 1 of the test archive.
        name: Of its file.
        row: Its place in a stack; ``None`` of an image with a file of its own.
        start, size: Where its bytes lie, as :meth:`Container.read` wants it.
        form: How they are read.
        shape: (C, H, W).
        folder, split: What its place says.
        mass: The number beside it, if any.
        digest: Of its pixels in float32.
        rounded: Whether it has whole numbers that float32 may not hold.
        label: The class, once it is known.
        value: Of a stack whose labels are quantities, the label.
    """

    container: int
    name: str
    row: int | None
    start: int
    size: int
    form: Form
    shape: tuple[int, ...]
    folder: str
    split: str | None
    mass: float | None
    digest: str
    rounded: bool
    label: str | None = None
    value: float | None = None

    @property
    def title(self) -> str:
        """The file, and the place in a stack."""
        return self.name if self.row is None else f"{self.name}[{self.row}]"


@define(eq=False)
class Scan:
    """What was found.

    Attributes:
        images: Those that can be read, in their order.
        problems: Of those that cannot: file and reason, a sentence each.
        labels: Labels of stacks, by :func:`labels_key`, with the file's name.
        indices: The archive's own index file: its name and content.
        stacks: Images in each stack, those that cannot be read included.
        others: Files passed over.
    """

    images: list[Found] = field(factory=list)
    problems: list[str] = field(factory=list)
    labels: dict[str, tuple[str, NDArray[Any]]] = Factory(dict)
    indices: tuple[str, bytes] | None = None
    stacks: dict[str, int] = Factory(dict)
    others: list[str] = field(factory=list)


def scan(container: Container, number: int, own: tuple[str, ...], into: Scan) -> None:
    """Read every image of ``container`` once.

    Args:
        container: The archive.
        number: 0, or 1 for the test archive.
        own: Class folders of the user's.
        into: Takes what is found.

    Raises:
        UserError: The archive is damaged, so that what lies behind is out of reach.
    """
    try:
        for entry in container.entries():
            try:
                _file(entry, container, number, own, into)
            except UserError as error:
                into.problems.append(f"{container.path.name}: {entry.name} {error}")
            except container.alone as error:
                into.problems.append(f"{container.path.name}: {entry.name} is damaged ({error})")
    except DAMAGE as error:
        raise truncated(container.path, error) from error


def _file(entry: Entry, container: Container, number: int, own: tuple[str, ...], into: Scan) -> None:
    path = PurePosixPath(entry.name)
    kind, key = path.suffix.lower(), labels_key(entry.name)
    if path.name.lower() in INDICES:
        into.indices = entry.name, entry.stream.read()
    elif kind == ".npy" and key is not None:
        into.labels[key] = entry.name, _labels(entry)
    elif kind == ".npy" or kind in PICTURES:
        where = place(entry.name, own)
        pieces = _picture(entry) if kind in PICTURES else _arrays(entry, into)
        for row, start, data, form in pieces:
            try:
                decoded = decode(form, data)
            except UserError as error:
                title = entry.name if row is None else f"{entry.name}[{row}]"
                into.problems.append(f"{container.path.name}: {title} {error}")
                continue
            split = where.split or (None if row is None else stack_split(entry.name))
            into.images.append(_found(entry, number, row, start, form, decoded, where.folder, split))
    else:
        into.others.append(entry.name)


def _found(
    entry: Entry,
    number: int,
    row: int | None,
    start: int,
    form: Form,
    decoded: Decoded,
    folder: str,
    split: str | None,
) -> Found:
    size = form.nbytes if form.kind == "array" else entry.start + entry.size - start
    return Found(
        container=number,
        name=entry.name,
        row=row,
        start=start,
        size=size,
        form=form,
        shape=decoded.image.shape,
        folder=folder,
        split=split,
        mass=decoded.mass,
        digest=pixel_digest(decoded.image),
        rounded=decoded.rounded,
    )


def pixel_digest(image: NDArray[np.float32]) -> str:
    """Equal for equal images."""
    return blake2b(image.tobytes(), digest_size=12).hexdigest()


Piece = tuple[int | None, int, bytes, Form]
"""Place in a stack, where the bytes begin, the bytes, and how they are read."""


def _picture(entry: Entry) -> Iterator[Piece]:
    yield None, entry.start, entry.stream.read(), Form("picture")


def _arrays(entry: Entry, into: Scan) -> Iterator[Piece]:
    form, header = read_header(entry.stream)
    if form.kind == "objects":
        yield None, entry.start + header, entry.stream.read(), form
        return
    if entry.size != header + form.nbytes:
        short = "truncated" if entry.size < header + form.nbytes else "too long"
        raise UserError(f"is {short}: {entry.size} bytes instead of {header + form.nbytes}")
    count, one = rows(form)
    if count is not None:
        into.stacks[entry.name] = count
    for number in range(1 if count is None else count):
        row = None if count is None else number
        yield row, entry.start + header + number * one.nbytes, entry.stream.read(one.nbytes), one


def _labels(entry: Entry) -> NDArray[Any]:
    """(N,) labels of a stack."""
    form, _ = read_header(entry.stream)
    if form.kind != "array" or len(form.shape) not in (1, 2) or (len(form.shape) == 2 and form.shape[1] != 1):
        raise UserError(f"has shape {form.shape}; labels have shape (N,) or (N, 1)")
    data = entry.stream.read()
    if len(data) != form.nbytes:
        raise UserError(f"is truncated or too long: {len(data)} bytes of labels instead of {form.nbytes}")
    return np.frombuffer(data, form.dtype)
