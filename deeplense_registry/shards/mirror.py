"""Tars of others behind URLs: copied whole into the cache, and held to what first came from there."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Any

from ..components import UserError
from .atomic import locked, publish, write_json
from .cache import cache_root
from .fetch import AT_ONCE, writing
from .part import file_sha256
from .remote import Remote, misfit
from .tars import check_tar, expanded

ABSENT = "is not there; mend the URL, or leave the tar out"
RESIZED = "has another size than was announced ({size} bytes); run it again"


def names_tars(url: str) -> bool:
    """Whether a URL, or a pattern such as ``https://.../train-{000..009}.tar``, names tars and no folder.

    Raises:
        UserError: Its braces are wrong.
    """
    return any(".tar" in one.rpartition("/")[2] for one in expanded(url))


def mirror_tars(url: str) -> list[Path]:
    """Copies in the cache of the tars that a URL or a pattern names; they lie below a common folder as they do there.

    A copy that is whole is used as it is, without the network. One that was interrupted is continued where the server
    knows byte ranges and still has the same file. No checksum is known before the first fetch: that of what came is
    kept beside the copy, and both the copy and what a later fetch brings must agree with it.

    Raises:
        UserError: A tar is absent, unreadable, no tar, or another than before; or the disk cannot be written.
    """
    with ThreadPoolExecutor(AT_ONCE, "fetch") as pool:  # the first failure calls off what has not begun
        return list(pool.map(_mirror, dict.fromkeys(expanded(url))))


def _mirror(url: str) -> Path:
    copy = _place(url)
    with writing(copy), locked(copy.with_name(f".{copy.name}.lock")):
        if not _is_kept(copy, url):
            _fetch(url, copy)
    return copy


def _place(url: str) -> Path:
    """Where the copy of a tar is kept: a folder for each part of its URL."""
    scheme, _, rest = url.partition("://")
    parts = rest.split("/")
    if "*" in url:
        raise UserError(f"{url}: a URL has no wildcards; name the tars by braces, as in train-{{000..009}}.tar")
    if not parts[-1].endswith(".tar"):
        raise UserError(f"{url} does not end in .tar; give plain tars, by URLs without a query")
    if not {"", ".", ".."}.isdisjoint(parts):
        raise UserError(f"{url} has an empty part, or dots for one; write it plainly")
    return cache_root().joinpath("tars", scheme.lower(), *parts)


def _is_kept(copy: Path, url: str) -> bool:
    """Whether the tar is there as it came; it is hashed only where its size or time says that it was touched."""
    known = _known(copy)
    if known is None or not copy.is_file():
        return False
    stat = copy.stat()
    touched = [known["bytes"], known["mtime_ns"]] != [stat.st_size, stat.st_mtime_ns]
    if touched and file_sha256(copy) != known["sha256"]:
        raise UserError(f"{copy} is not what came from {url}: its checksum differs; delete it to fetch it again")
    return True


def _fetch(url: str, copy: Path) -> None:
    folder, _, name = url.rpartition("/")
    remote = Remote.open(folder, absent=ABSENT, resized=RESIZED)
    size, version = remote.announced(name)
    part = copy.with_name(f".{name}.{blake2b(version.encode(), digest_size=8).hexdigest()}.part")
    for other in set(copy.parent.glob(f".{name}.*.part")) - {part}:  # begun before the file there changed
        other.unlink()
    with part.open("ab") as stream:
        remote.append(name, stream, size)
    try:
        _check(url, copy, part)
    except UserError:
        part.unlink()  # the next try begins anew
        raise
    publish(part, copy)


def _check(url: str, copy: Path, part: Path) -> None:
    """The part is a whole tar, and the same as ever; its checksum is on record before it is published."""
    with part.open("rb") as stream:
        if page := misfit(stream.read(256), ""):
            raise UserError(f"{url} {page}")
    check_tar(part, url)
    stat, checksum, known = part.stat(), file_sha256(part), _known(copy)
    if known is not None and checksum != known["sha256"]:
        raise UserError(f"{url} has changed since it was first fetched; delete {_record(copy)} to take it as it is now")
    record = {"url": url, "bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": checksum}
    write_json(_record(copy), record)


def _known(copy: Path) -> dict[str, Any] | None:
    """What is on record of a copy."""
    record = _record(copy)
    if not record.is_file():
        return None
    try:
        known: dict[str, Any] = json.loads(record.read_bytes())
    except ValueError as error:
        raise UserError(f"{record} is damaged: {error}; delete it and {copy.name}, and run it again") from error
    return known


def _record(copy: Path) -> Path:
    return copy.with_name(f".{copy.name}.json")
