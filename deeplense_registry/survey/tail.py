"""A file of JSON lines, followed as another process, or another thread, writes it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from attrs import define, field


@define(eq=False)
class Tail:
    """Reads what is new.

    Attributes:
        path: The file; it need not be there yet.
    """

    path: Path
    _inode: int = field(init=False, default=-1)
    _read: int = field(init=False, default=0)

    def __call__(self) -> tuple[bool, list[dict[str, Any]]]:
        """Whether the file is another than before (a run that continues replaces its log), and the new whole lines."""
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                another = status.st_ino != self._inode or status.st_size < self._read
                if another:
                    self._inode, self._read = status.st_ino, 0
                file.seek(self._read)
                text = file.read()
        except FileNotFoundError:
            return False, []
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        return another, [event for line in whole.splitlines() for event in parsed(line)]


def parsed(line: bytes) -> list[dict[str, Any]]:
    """The object of a line; nothing where a power cut left a line that is none: progress is no reason to stop."""
    try:
        event = json.loads(line)
    except ValueError:
        return []
    return [event] if isinstance(event, dict) else []
