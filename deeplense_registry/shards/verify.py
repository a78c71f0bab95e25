"""Shards are what the manifest says, or the damage is named."""

from __future__ import annotations

import contextlib
import json
import mmap
import zlib
from collections.abc import Iterator
from pathlib import Path

from ..components import UserError
from .atomic import write_json
from .index import read_index
from .manifest import Manifest, Shard
from .part import file_sha256
from .ustar import damaged_header

REMEMBERED = ".verified.json"
REMEDY = "delete the folder and build it again, or copy it anew"

Print = list[int]
"""Size, time and inode of a file, and so on for its index."""


def verify_shards(folder: Path, manifest: Manifest) -> None:
    """Hash the shards and indices that are new or changed since they were last verified.

    What is verified is remembered beside the shards by size, time and inode; where the folder cannot be written it is
    verified at each opening.

    Raises:
        UserError: Something is damaged; the message names each damage.
    """
    known = _remembered(folder)
    sound: dict[str, Print] = {}
    damage: list[str] = []
    for shard in manifest.shards:
        print_ = _print(folder, shard)
        found = [] if print_ and known.get(shard.sha256) == print_ else list(damages(folder, shard, manifest))
        damage += found
        if print_ and not found:
            sound[shard.sha256] = print_
    if sound != known:
        with contextlib.suppress(OSError):  # a folder that is only readable stays as it is
            write_json(folder / REMEMBERED, sound)
    if damage:
        raise UserError("\n".join([*damage, f"{len(damage)} found damaged: {REMEDY}"]))


def damages(folder: Path, shard: Shard, manifest: Manifest) -> Iterator[str]:
    """What is wrong with a shard and its index, a sentence each; nothing where both are whole."""
    tar, index = folder / shard.file, folder / shard.index
    if not index.is_file():
        yield f"{index} is missing"
    elif file_sha256(index) != shard.index_sha256:
        yield f"{index} does not belong to {shard.file}: its checksum is not the manifest's"
    elif tar.is_file() and tar.stat().st_size == shard.bytes:
        yield from _inside(tar, index, shard, manifest.image_bytes)
    if not tar.is_file():
        yield f"{tar} is missing"
    elif tar.stat().st_size != shard.bytes:
        yield f"{tar} {_misfit(tar, shard.bytes)}"


def _misfit(tar: Path, expected: int) -> str:
    size = tar.stat().st_size
    with tar.open("rb") as stream:
        start = stream.read(256)
    if not size:
        return f"is empty: 0 of {expected} bytes"
    if is_page(start):
        return "is an HTML page, not a shard: what served it answered with an error"
    if size < expected:
        return f"is truncated: {size} of {expected} bytes"
    return f"is too long: {size} bytes instead of {expected}"


def is_page(start: bytes) -> bool:
    """Whether a file that starts so is an HTML or XML page: neither a tar nor an index can."""
    return start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml"))


def _inside(tar: Path, index: Path, shard: Shard, image_bytes: int) -> Iterator[str]:
    """Damage in a tar of the right size, from the index that belongs to it."""
    columns = read_index(index, "offsets", "crc32", "names")
    with tar.open("rb") as stream:
        archive = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    images = False
    for name, at, crc in zip(columns["names"], columns["offsets"], columns["crc32"], strict=True):
        if zlib.crc32(archive[at : at + image_bytes]) != crc:
            images = True
            yield f"{tar}: the image of sample {str(name)!r} is damaged (bytes {at} to {at + image_bytes - 1})"
    whole = file_sha256(tar) == shard.sha256
    header = None if whole else damaged_header(archive)
    if header is not None:
        yield f"{tar}: the tar header at byte {header} is damaged"
    elif not whole and not images:
        yield f"{tar} is damaged outside of its images: its checksum is not the manifest's"


def _print(folder: Path, shard: Shard) -> Print | None:
    try:
        stats = [(folder / name).stat() for name in (shard.file, shard.index)]
    except OSError:  # missing: the check says so
        return None
    return [number for stat in stats for number in (stat.st_size, stat.st_mtime_ns, stat.st_ino)]


def _remembered(folder: Path) -> dict[str, Print]:
    try:
        known = json.loads((folder / REMEMBERED).read_bytes())
    except (OSError, ValueError):  # none, or damaged: verify again
        return {}
    return known if isinstance(known, dict) else {}
