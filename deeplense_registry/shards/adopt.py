"""Foreign WebDataset tars become shards: indexed in place where their images are uniform, else rewritten."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from ..components import UserError
from .build import Report, build_shards, lock_folder, make_manifest
from .cache import shards_folder
from .encode import encode
from .foreign import TarSource, mapped, sample
from .index import Ledger, write_index
from .manifest import FILE, FORMAT, DType, Shard, read_manifest
from .part import file_sha256, shard_record
from .picture import image_ending, image_form
from .survey import Survey, common_folder, survey
from .tars import Tar, entries

if TYPE_CHECKING:
    from ..spec import ShardsOptions


def adopt(
    tars: tuple[Tar, ...],
    options: ShardsOptions,
    *,
    processes: int,
    folder: Path | None = None,
    dtype: DType = "float32",
    progress: Report | None = None,
) -> Path:
    """The folder of shards made from foreign tars, unless it is there.

    Where every image is float32 or float16 of one shape in C order, the tars stay where they are: the folder, in the
    cache, has links to them, and an index for each. Otherwise, or when ``folder`` is given, they are rewritten. Tars
    that change are taken for others.

    Args:
        tars: What there is.
        options: What they do not say themselves.
        processes: How many rewrite at once.
        folder: Rewrite them there.
        dtype: Of images that are rewritten.
        progress: ``progress(done, total)``, samples.

    Raises:
        UserError: As :func:`~.survey.survey` and :func:`build_shards`.
    """
    digest = _digest(tars, options, dtype, rewrite=folder is not None)
    kept = folder or shards_folder(digest, common_folder(tars).name)
    if (kept / FILE).is_file() and read_manifest(kept).digest == digest:
        return kept
    found = survey(tars, options)
    if folder is None and found.dtype is not None:
        _index_in_place(found, found.dtype, kept, digest, progress)
    else:
        source = TarSource(found)
        build_shards(source, found.card, kept, digest=digest, processes=processes, dtype=dtype, progress=progress)
    return kept


def _digest(tars: tuple[Tar, ...], options: ShardsOptions, dtype: DType, *, rewrite: bool) -> str:
    """Names tars by place, size and time, and all that the shards depend on beside."""
    parts = (FORMAT, dtype, rewrite, options.pixel_scale, options.bands, options.classes, tars)
    return blake2b(repr(parts).encode(), digest_size=32).hexdigest()


def _index_in_place(found: Survey, dtype: DType, folder: Path, digest: str, progress: Report | None) -> None:
    done, total = 0, sum(found.counts.values())
    splits: dict[str, tuple[Shard, ...]] = dict.fromkeys(found.card.splits, ())
    with lock_folder(folder):
        if (folder / FILE).is_file():  # by the run this one waited for
            return
        for tar, count in found.counts.items():
            stem = f"{tar.split}-{len(splits[tar.split]):06d}"
            splits[tar.split] += (_index_one(tar, folder / f"{stem}.tar", found, dtype, digest),)
            done += count
            if progress:
                progress(done, total)
        make_manifest(found.card, folder, digest, dtype, splits).publish(folder)


def _index_one(tar: Tar, link: Path, found: Survey, dtype: DType, digest: str) -> Shard:
    """Link to a tar and index it; its images are checked as those of any source."""
    view, ledger = mapped(tar), Ledger()
    for entry in entries(tar):
        ending = image_ending(entry.members, entry.key)
        offset, size = entry.members[ending]
        start = image_form(entry.key + "." + ending, view[offset : offset + size]).start
        where = f"{tar.path}, split {tar.split!r}"
        ledger.add(encode(sample(tar, entry, view, found.card.targets), found.card, dtype, where), offset + start)
    whole = file_sha256(tar.path)
    try:
        link.unlink(missing_ok=True)
        link.symlink_to(tar.path)
        write_index(link.with_suffix(".npz"), ledger.columns(found.card, digest, whole))
    except OSError as error:
        raise UserError(f"{link}: cannot write the index: {error}; make room or set DEEPLENSE_CACHE") from error
    return shard_record(link, link.with_suffix(".npz"), len(ledger), whole)
