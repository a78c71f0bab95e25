"""A source is read once and becomes a folder of shards, in as many processes as one likes, with the same bytes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from attrs import evolve

from ..components import DatasetCard, UserError
from .atomic import locked
from .encode import image_shape
from .index import read_index
from .manifest import FILE, DType, Manifest, Shard, read_manifest
from .part import Part, Source, plan
from .statistics import Moments, summarise
from .workers import write_parts

Report = Callable[[int, int | None], None]
"""``progress(done, total)``: samples written so far, and of how many where that is known."""

LOCK = ".lock"
"""The file that stands for a folder's lock; a folder that has it is one that shards were written to."""


def build_shards(
    source: Source,
    card: DatasetCard,
    folder: Path,
    *,
    digest: str,
    processes: int,
    dtype: DType = "float32",
    progress: Report | None = None,
) -> Manifest:
    """Write every split of a source as shards, and the manifest last.

    Part k of a split becomes shard k, written by one process, so the bytes do not depend on ``processes``. Shards that
    an interrupted build of the same source finished are kept; a folder that is finished is left as it is. A second
    build of the same folder waits for the first.

    Args:
        source: Opens the source, once for each part; picklable.
        card: The source's card.
        folder: Where to; made if missing.
        digest: Names the source's options; equal digests must mean equal bytes.
        processes: How many read the source at once; 1 reads it in this process.
        dtype: Of the images on disk.
        progress: Hears of samples written, those kept from an earlier build included.

    Raises:
        UserError: A sample is not as promised, a name comes twice, the source gives another number of samples than
            the card says, the disk cannot be written, or the folder holds the shards of another source.
    """
    _check_card(card)
    if (folder / FILE).is_file():
        return _same(folder, digest, dtype)
    with lock_folder(folder):
        if (folder / FILE).is_file():  # by the build this one waited for
            return _same(folder, digest, dtype)
        _sweep(folder)
        parts = plan(card, folder, digest, dtype)
        totals = list(card.splits.values())
        total = None if None in totals else sum(count for count in totals if count is not None)
        shards = write_parts(parts, source, processes, lambda done: progress(done, total) if progress else None)
        try:
            manifest = make_manifest(card, folder, digest, dtype, _by_split(card, parts, shards))
        except UserError:
            for part in parts:  # what is refused as a whole is not kept for the next build
                part.index.unlink(missing_ok=True)
            raise
        manifest.publish(folder)
        return manifest


def _check_card(card: DatasetCard) -> None:
    if not card.splits:
        raise UserError(f"{card.name}: the card names no splits; name at least one")
    for split in card.splits:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_]*", split):  # it becomes part of file names
            raise UserError(f"{card.name}: a split is called {split!r}; use letters, digits and underscores")


def _same(folder: Path, digest: str, dtype: DType) -> Manifest:
    manifest = read_manifest(folder)
    if (manifest.digest, manifest.dtype) != (digest, dtype):
        raise UserError(
            f"{folder} holds shards of {manifest.card.name!r} made with other options; give another folder or delete it"
        )
    return manifest


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Be the only one to write shards in ``folder``, made if missing.

    Raises:
        UserError: It cannot be written.
    """
    with ExitStack() as held:
        try:
            held.enter_context(locked(folder / LOCK))
        except OSError as error:
            raise UserError(f"{folder}: cannot write shards there: {error}; give another folder") from error
        yield


def _sweep(folder: Path) -> None:
    """Remove what killed writers left; nobody else writes while the folder is locked."""
    for aside in folder.glob(".*.part"):
        aside.unlink(missing_ok=True)


Written = Mapping[str, tuple[Shard, ...]]


def _by_split(card: DatasetCard, parts: Sequence[Part], shards: Sequence[Shard]) -> Written:
    return {
        split: tuple(shard for part, shard in zip(parts, shards, strict=True) if part.split == split)
        for split in card.splits
    }


def make_manifest(card: DatasetCard, folder: Path, digest: str, dtype: DType, splits: Written) -> Manifest:
    """The manifest of shards that lie in ``folder`` with their indices, not yet published.

    Raises:
        UserError: A split has not the card's count, a name comes twice, or the training pixels have no statistics.
    """
    for split, written in splits.items():
        _check_split(card, split, written, folder)
    split = "train" if "train" in splits else next(iter(splits))
    bands = (Moments.unpack(read_index(folder / shard.index, "moments")["moments"]) for shard in splits[split])
    return Manifest(
        digest=digest,
        card=evolve(card, splits={name: sum(shard.count for shard in found) for name, found in splits.items()}),
        dtype=dtype,
        image_shape=image_shape(card),
        splits=splits,
        statistics=summarise(split, bands, card.bands),
    )


def _check_split(card: DatasetCard, split: str, shards: Sequence[Shard], folder: Path) -> None:
    """The card's count is met, and no name comes twice."""
    where = f"{card.name}, split {split!r}"
    count, promised = sum(shard.count for shard in shards), card.splits[split]
    if promised is not None and count != promised:
        raise UserError(f"{where}: the source gives {count} samples, its card says {promised}; mend the card")
    names = [read_index(folder / shard.index, "names")["names"] for shard in shards]
    known, times = np.unique(np.concatenate([*names, np.empty(0, np.str_)]), return_counts=True)
    if (times > 1).any():
        raise UserError(f"{where}: the name {str(known[times > 1][0])!r} comes more than once; names must be unique")
