"""What a folder, a tar and a zip have in common."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from attrs import frozen

from deeplense_registry import UserError

DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError, zipfile.BadZipFile)
"""What reading a damaged archive raises."""


@frozen(eq=False)
class Entry:
    """A file of a container.

    Attributes:
        name: Its path inside, with forward slashes.
        size: In bytes.
        start: Where it begins, in the terms of :meth:`Container.read`.
        stream: Reads it from its beginning; valid until the next entry.
    """

    name: str
    size: int
    start: int
    stream: BinaryIO


class Container(ABC):
    """A folder or an archive.

    Reading raises one of :data:`DAMAGE` where an archive is damaged.

    Attributes:
        path: Where it lies.
        alone: What of :data:`DAMAGE` concerns the one file that is read, and not those behind it.
    """

    alone: tuple[type[Exception], ...] = ()

    def __init__(self, path: Path) -> None:
        """Remember where it lies; it is opened when it is read."""
        self.path = path

    @abstractmethod
    def stamp(self) -> list[str]:
        """What changes when the files change: sizes and times."""

    @abstractmethod
    def entries(self) -> Iterator[Entry]:
        """Every file but macOS's, in the order in which they are read best; always the same one."""

    @abstractmethod
    def read(self, name: str, start: int, size: int) -> bytes:
        """``size`` bytes of a file from ``start``; fewer where it ends. Cheap if asked for in the order of entries."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what is open."""


def is_junk(name: str) -> bool:
    """Whether macOS or an editor left the file: ``.DS_Store``, ``__MACOSX/``, ``._*`` and other hidden ones."""
    return any(part == "__MACOSX" or (part.startswith(".") and part != "..") for part in name.split("/"))


def file_stamp(path: Path) -> list[str]:
    """What changes when the file does: one line of its size and time."""
    stat = path.stat()
    return [f"{path} {stat.st_size} {stat.st_mtime_ns}"]


def truncated(path: Path, error: Exception) -> UserError:
    """The message for one of :data:`DAMAGE`."""
    return UserError(f"{path} is truncated or damaged ({error}); download it again")
