"""Files outside a spec that its results depend on: have they changed?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b, file_digest
from pathlib import Path


def files_fingerprint(paths: Iterable[Path]) -> str:
    """A digest of the names, sizes and times of files, and of all files below folders; no file is opened.

    A path that does not exist counts by its name: whoever opens it says what is wrong.
    """
    digest = blake2b(digest_size=16)
    for path in paths:
        for name, file in _files(path):
            about = file.stat() if file.exists() else None
            line = (name, about.st_size, about.st_mtime_ns) if about else (name,)
            digest.update(f"{line}\n".encode())
    return digest.hexdigest()


def contents_fingerprint(paths: Iterable[Path]) -> str:
    """A digest of the names and bytes of files, whenever they were written.

    Each is read whole: for weights and lists of labels. The files of a data set are too large for that; see
    :func:`files_fingerprint`. One that cannot be read counts by its name: whoever opens it says
    what is wrong.
    """
    digest = blake2b(digest_size=16)
    for path in paths:
        digest.update(f"{path.name}\0{_content(path)}\n".encode())
    return digest.hexdigest()


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    if not path.is_dir():
        yield path.name, path
        return
    for file in sorted(path.rglob("*")):
        if file.is_file():
            yield file.relative_to(path).as_posix(), file


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
