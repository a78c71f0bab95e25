"""What ``use = "shards"`` names: a folder of shards, a URL of one, or tars that others wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..components import UserError
from .build import LOCK, Report
from .decode import refuse_command
from .fetch import cached_folder, fetch_shards
from .manifest import FILE, DType, Manifest, read_manifest
from .mirror import mirror_tars, names_tars
from .remote import is_remote
from .tars import Tar, find_tars, tars_at

if TYPE_CHECKING:
    from ..spec import ShardsOptions


def existing(
    options: ShardsOptions,
    *,
    processes: int,
    folder: Path | None = None,
    dtype: DType = "float32",
    progress: Report | None = None,
) -> Path:
    """The folder of the shards that a spec names with ``use = "shards"``, fetched or indexed unless that was done.

    Args:
        options: The table of the spec.
        processes: How many rewrite foreign tars at once, where they must be.
        folder: Where remote shards are copied to, and foreign tars rewritten; by default the cache.
        dtype: Of images that are rewritten.
        progress: ``progress(done, total)``, samples.

    Raises:
        UserError: It is a command, there are no shards, or they cannot be fetched or indexed.
    """
    refuse_command(options.path)
    if _is_foreign(options.path):
        from .adopt import adopt  # here: it imports torch with the interfaces

        return adopt(_tars(options), options, processes=processes, folder=folder, dtype=dtype, progress=progress)
    if is_remote(options.path):
        _refuse_descriptions(options)
        return fetch_shards(options.path, folder=folder, progress=progress)
    here = _local(options.path)
    read_manifest(here)
    _refuse_descriptions(options)
    return here


def manifest_at(location: str) -> Manifest | None:
    """The manifest of shards that a spec names; ``None`` where they must be fetched or indexed first.

    Raises:
        UserError: The folder is absent, or its manifest is absent or damaged.
    """
    refuse_command(location)
    if _is_foreign(location):
        return None
    if is_remote(location):
        kept = cached_folder(location)
        return read_manifest(kept) if (kept / FILE).is_file() else None
    return read_manifest(_local(location))


def _local(location: str) -> Path:
    return Path(location.removeprefix("file://")).expanduser()


def _is_foreign(location: str) -> bool:
    """Whether it is a tar or a pattern of tars, or a folder of tars where nobody wrote, or is writing, shards."""
    if is_remote(location):
        return names_tars(location)
    path = _local(location)
    if not path.is_dir():
        return ".tar" in path.name
    ours = (path / FILE).exists() or (path / LOCK).exists() or any(path.glob("*.npz"))
    return not ours and any(path.rglob("*.tar"))


def _tars(options: ShardsOptions) -> tuple[Tar, ...]:
    """The foreign tars that are named, here or copied here."""
    if not is_remote(options.path):
        return find_tars(str(_local(options.path)))
    from .survey import pixel_scale

    pixel_scale(options)  # refused before gigabytes are fetched
    return tars_at(mirror_tars(options.path), options.path)


def _refuse_descriptions(options: ShardsOptions) -> None:
    for name in ("pixel_scale", "bands", "classes"):
        if getattr(options, name):
            raise UserError(f"{options.path} has a manifest, which tells the {name}; leave {name} out")
