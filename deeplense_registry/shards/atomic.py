"""Files that are there whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; on success it is flushed to disk and takes the place of ``path``, on failure it is removed.

    Raises:
        OSError: The disk's own error; ``path`` is then what it was before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield aside
        publish(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def publish(aside: Path, path: Path) -> None:
    """Flush ``aside`` to disk and let it take the place of ``path``."""
    _flush(aside)
    aside.replace(path)
    _flush(path.parent)  # the new name itself


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that the file ``path``, made if missing, stands for; wait for whoever holds it.

    The system lets it go if this process dies. Threads exclude each other too.

    Raises:
        OSError: The file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, whole or not at all."""
    with replacing(path) as aside:
        aside.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, whole or not at all. NaN and infinity are refused: they are not JSON."""
    write_bytes(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
