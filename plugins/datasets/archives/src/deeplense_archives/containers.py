"""Folders, tars and zips as lists of files that are read in place; nothing is unpacked to disk.

A compressed tar can only be read forwards. Members are therefore addressed by their place in the unpacked stream, and
the stream stays open from one read to the next: what is asked for in the archive's order is unpacked once.
"""

from __future__ import annotations

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from deeplense_registry import UserError

from .container import Container, Entry, file_stamp, is_junk

TARS = (".tgz", ".tar.gz", ".tar")
KINDS = (*TARS, ".zip")


class Folder(Container):
    """A folder, its files sorted by path."""

    _open: tuple[str, BinaryIO] | None = None

    def stamp(self) -> list[str]:
        """A line for each file."""
        stats = ((file, file.stat()) for file in self._files())
        return [f"{file} {stat.st_size} {stat.st_mtime_ns}" for file, stat in stats]

    def entries(self) -> Iterator[Entry]:
        """Every file."""
        for file in self._files():
            with file.open("rb") as stream:
                yield Entry(file.relative_to(self.path).as_posix(), file.stat().st_size, 0, stream)

    def read(self, name: str, start: int, size: int) -> bytes:
        """Bytes of a file; it stays open for the next read."""
        if self._open is None or self._open[0] != name:
            self.close()
            self._open = name, (self.path / name).open("rb")
        self._open[1].seek(start)
        return self._open[1].read(size)

    def close(self) -> None:
        """Close the last file."""
        if self._open:
            self._open[1].close()
            self._open = None

    def _files(self) -> list[Path]:
        found = (file for file in self.path.rglob("*") if file.is_file())
        return sorted(file for file in found if not is_junk(file.relative_to(self.path).as_posix()))


class Tar(Container):
    """A tar, compressed or not, its members in their order."""

    _stream: BinaryIO | None = None

    def stamp(self) -> list[str]:
        """One line."""
        return file_stamp(self.path)

    def entries(self) -> Iterator[Entry]:
        """Every regular member, in one pass."""
        with self._opened() as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # they are not needed again
                name = member.name.removeprefix("./")
                body = tar.extractfile(member) if member.isreg() and not is_junk(name) else None
                if body is not None:
                    yield Entry(name, member.size, member.offset_data, cast(BinaryIO, body))
            stream.seek(tar.offset)
            if len(stream.read(tarfile.BLOCKSIZE)) < tarfile.BLOCKSIZE:  # tarfile takes this for an end
                raise EOFError("it ends without the mark of an end")

    def read(self, name: str, start: int, size: int) -> bytes:
        """Bytes from ``start`` of the unpacked tar."""
        if self._stream is None:
            self._stream = self._opened()
        self._stream.seek(start)  # of a compressed one: forwards by unpacking, backwards from the beginning
        return self._stream.read(size)

    def close(self) -> None:
        """Close the stream."""
        if self._stream:
            self._stream.close()
            self._stream = None

    def _opened(self) -> BinaryIO:
        with self.path.open("rb") as stream:
            compressed = stream.read(2) == b"\x1f\x8b"
        return cast(BinaryIO, gzip.open(self.path)) if compressed else self.path.open("rb")


class Zip(Container):
    """A zip, its members in their order."""

    alone = (zipfile.BadZipFile, zlib.error, EOFError)
    _zip: zipfile.ZipFile | None = None
    _open: tuple[str, BinaryIO] | None = None

    def stamp(self) -> list[str]:
        """One line."""
        return file_stamp(self.path)

    def entries(self) -> Iterator[Entry]:
        """Every member that is a file."""
        for member in self._archive().infolist():
            if not member.is_dir() and not is_junk(member.filename):
                with self._archive().open(member) as stream:
                    yield Entry(member.filename, member.file_size, 0, cast(BinaryIO, stream))

    def read(self, name: str, start: int, size: int) -> bytes:
        """Bytes of a member; it stays open for the next read."""
        if self._open is None or self._open[0] != name:
            self._leave()
            self._open = name, cast(BinaryIO, self._archive().open(name))
        self._open[1].seek(start)
        return self._open[1].read(size)

    def close(self) -> None:
        """Close member and zip."""
        self._leave()
        if self._zip:
            self._zip.close()
            self._zip = None

    def _leave(self) -> None:
        if self._open:
            self._open[1].close()
            self._open = None

    def _archive(self) -> zipfile.ZipFile:
        if self._zip is None:
            self._zip = zipfile.ZipFile(self.path)
        return self._zip


def container(path: Path) -> Container:
    """What opens ``path``.

    Raises:
        UserError: There is nothing, or a file of another kind.
    """
    if path.is_dir():
        return Folder(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file or folder; give the archive as downloaded, or its folder")
    if path.name.lower().endswith(TARS):
        return Tar(path)
    if path.name.lower().endswith(".zip"):
        return Zip(path)
    raise UserError(f"{path} is no archive; give a folder, {', '.join(KINDS[:-1])} or {KINDS[-1]}")
