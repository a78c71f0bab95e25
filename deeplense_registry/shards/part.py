"""One part of a split becomes one shard: a tar, then its index."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from attrs import frozen

from ..components import DatasetCard, UserError
from .atomic import replacing
from .encode import Encoded, encode, expected_bytes, image_shape, members, npy_header
from .index import Columns, Ledger, read_index, write_index
from .manifest import DType, Shard
from .ustar import END

if TYPE_CHECKING:
    from ..interfaces import Dataset

Source = Callable[[], "Dataset"]
"""Opens the source; picklable, so that another process can."""

AIM = 24 * 2**20
LARGEST = 32 * 2**20
UNKNOWN_PARTS = 8


@frozen(kw_only=True)
class Part:
    """Part ``number`` of ``parts`` of a split, and what it is written as."""

    folder: Path
    card: DatasetCard
    digest: str
    dtype: DType
    split: str
    number: int
    parts: int

    @property
    def name(self) -> str:
        """The name of tar and index without their endings."""
        return f"{self.split}-{self.number:06d}"

    @property
    def tar(self) -> Path:
        """The shard."""
        return self.folder / f"{self.name}.tar"

    @property
    def index(self) -> Path:
        """Its index."""
        return self.folder / f"{self.name}.npz"

    @property
    def stamp(self) -> str:
        """What the index was made from: tells a shard of this build from any other."""
        return f"{self.digest} {self.dtype} {self.split} {self.number}/{self.parts} {self.card}"


def plan(card: DatasetCard, folder: Path, digest: str, dtype: DType) -> tuple[Part, ...]:
    """The parts of every split, in order: as many as make shards of about 24 and at most 32 MiB.

    A split whose count the card does not know has 8 parts, whatever their size; an empty split has none.
    """
    size = expected_bytes(card, dtype)
    return tuple(
        Part(folder=folder, card=card, digest=digest, dtype=dtype, split=split, number=number, parts=parts)
        for split, count in card.splits.items()
        for parts in [_parts(count, size)]
        for number in range(parts)
    )


def write_part(part: Part, source: Source, done: Callable[[int], None]) -> Shard:
    """Write the shard, then its index; ``done`` hears the number of samples so far.

    Raises:
        UserError: A sample is not as promised, the source cannot be read or the disk not be written.
    """
    where = f"{part.card.name}, split {part.split!r}"
    samples = _samples(part, source, where)
    try:
        with replacing(part.tar) as aside, aside.open("wb") as stream:
            columns = _write_tar(part, samples, stream, done)
        write_index(part.index, columns)
        return shard_record(part.tar, part.index, len(columns["offsets"]), str(columns["sha256"]))
    except OSError as error:
        remedy = "make room or give another folder, and run it again: finished shards are kept"
        raise UserError(f"{part.tar}: cannot write the shard: {error}; {remedy}") from error


def finished_part(part: Part) -> Shard | None:
    """The shard, if an earlier, interrupted build has written it whole."""
    if not part.index.is_file() or not part.tar.is_file():
        return None
    try:
        columns = read_index(part.index, "stamp", "sha256", "offsets")
    except UserError:  # damaged: it is written again
        return None
    if str(columns.get("stamp")) != part.stamp or file_sha256(part.tar) != str(columns["sha256"]):
        return None
    return shard_record(part.tar, part.index, len(columns["offsets"]), str(columns["sha256"]))


def file_sha256(path: Path) -> str:
    """Of the whole file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _parts(count: int | None, size: int) -> int:
    if count is None:
        return UNKNOWN_PARTS
    total = count * size
    return min(count, max(1, round(total / AIM), -(-total // LARGEST)))


def _samples(part: Part, source: Source, where: str) -> Iterator[Encoded]:
    try:
        for sample in source().samples(part.split, part.number, part.parts):
            yield encode(sample, part.card, part.dtype, where)
    except OSError as error:  # not to be taken for one of writing
        raise UserError(f"{where}: cannot read the source: {error}") from error


def _write_tar(part: Part, samples: Iterator[Encoded], stream: BinaryIO, done: Callable[[int], None]) -> Columns:
    """Write the members and give the columns of the index."""
    npy = npy_header(image_shape(part.card), part.dtype)
    ledger, digest, at = Ledger(), hashlib.sha256(), 0
    for sample in samples:
        data, start = members(f"{part.number:06d}-{len(ledger):06d}", sample, npy)
        stream.write(data)
        digest.update(data)
        ledger.add(sample, at + start)
        at += len(data)
        done(len(ledger))
    stream.write(END)
    digest.update(END)
    return ledger.columns(part.card, part.stamp, digest.hexdigest())


def shard_record(tar: Path, index: Path, count: int, sha256: str) -> Shard:
    """The manifest's record of a tar and its index, both whole; ``sha256`` is the tar's."""
    return Shard(
        file=tar.name,
        count=count,
        bytes=tar.stat().st_size,
        sha256=sha256,
        index=index.name,
        index_sha256=file_sha256(index),
    )
