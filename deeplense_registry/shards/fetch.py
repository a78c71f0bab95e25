"""Remote shards are copied whole into the cache before anything reads them; what is there already is kept."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b, sha256
from pathlib import Path

from ..components import UserError
from .atomic import locked, publish, write_bytes
from .build import Report
from .cache import shards_folder
from .manifest import FILE, Manifest, Shard, parse_manifest, read_manifest
from .part import file_sha256
from .remote import Remote, address, misfit

AT_ONCE = 4
"""Shards that are fetched side by side."""

UNLIKE = "does not belong to the manifest: its checksum differs; run it again, or upload the shards again"


def cached_folder(url: str) -> Path:
    """Where the shards behind ``url`` are kept."""
    whole = address(url)
    return shards_folder(blake2b(whole.encode(), digest_size=32).hexdigest(), whole.rpartition("/")[2])


def fetch_shards(url: str, *, folder: Path | None = None, progress: Report | None = None) -> Path:
    """The folder with a copy of the shards behind ``url``: the manifest is read first, the shards next, then published.

    A copy that is whole is used as it is, without the network: what lies behind a URL is taken not to change. One that
    was interrupted is continued, inside a shard too where the server knows byte ranges. Several processes share the
    work: each shard has its own lock. Nothing is published whose checksum is not the manifest's.

    Args:
        url: Of a folder of shards, or of its manifest.
        folder: Where to; by default in the cache, named by the URL.
        progress: ``progress(done, total)``, samples.

    Raises:
        UserError: Something is absent, damaged or cannot be read there, or the disk here cannot be written.
    """
    kept = folder or cached_folder(url)
    if folder is None and (kept / FILE).is_file():
        return kept
    remote = Remote.open(address(url))
    data = remote.read(FILE)
    manifest = parse_manifest(data, f"{remote.url}/{FILE}")
    if (kept / FILE).is_file():
        if read_manifest(kept) != manifest:
            raise UserError(f"{kept} holds other shards than {remote.url}; give another folder or delete it")
        return kept
    _fetch_all(remote, kept, manifest, progress)
    with writing(kept / FILE):
        write_bytes(kept / FILE, data)
    return kept


def _fetch_all(remote: Remote, folder: Path, manifest: Manifest, progress: Report | None) -> None:
    total, done = sum(shard.count for shard in manifest.shards), 0
    with ThreadPoolExecutor(AT_ONCE, "fetch") as pool:  # the first failure calls off what has not begun
        for count in pool.map(partial(_fetch_one, remote, folder), manifest.shards):
            done += count
            if progress:
                progress(done, total)


def _fetch_one(remote: Remote, folder: Path, shard: Shard) -> int:
    """Fetch a tar and its index unless they are there; the number of samples."""
    with writing(folder / shard.file), locked(folder / f".{shard.file}.lock"):
        _fetch_index(remote, folder, shard)
        _fetch_tar(remote, folder, shard)
    return shard.count


def _fetch_index(remote: Remote, folder: Path, shard: Shard) -> None:
    if _is_there(folder / shard.index, shard.index_sha256):
        return
    data = remote.read(shard.index)
    if sha256(data).hexdigest() != shard.index_sha256:
        raise UserError(f"{remote.url}/{shard.index} {misfit(data, UNLIKE)}")
    write_bytes(folder / shard.index, data)


def _fetch_tar(remote: Remote, folder: Path, shard: Shard) -> None:
    path, part = folder / shard.file, folder / f".{shard.file}.part"
    if _is_there(path, shard.sha256):
        return
    with part.open("ab") as stream:
        remote.append(shard.file, stream, shard.bytes)
    if file_sha256(part) != shard.sha256:
        with part.open("rb") as stream:
            start = stream.read(256)
        part.unlink()  # begun from another copy perhaps: the next try begins anew
        raise UserError(f"{remote.url}/{shard.file} {misfit(start, UNLIKE)}")
    publish(part, path)


def _is_there(path: Path, checksum: str) -> bool:
    return path.is_file() and file_sha256(path) == checksum


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell of a disk that cannot be written.

    Raises:
        UserError: In place of its OSError.
    """
    try:
        yield
    except OSError as error:  # errors of reading are told as such already
        remedy = "make room or set DEEPLENSE_CACHE, and run it again: what was fetched is kept"
        raise UserError(f"{path}: cannot write the shard: {error}; {remedy}") from error
