"""A process that runs one cell of a survey; its parent gives the spec on standard input and holds that open.

The end of standard input means that the parent is gone, killed perhaps: then this process leaves at once, so that the
run's folder is free for whoever continues it. Checkpoints are whole at any moment.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from pathlib import Path

import attrs

from ..engine import Interrupted, RunFolder
from ..spec import Cell, expand, load_spec
from .attempt import FAILED, INTERRUPTED, Task, attempt


def main(path: str, size: str) -> int:
    """Run the cell whose spec of ``size`` bytes comes on standard input, in the folder ``path``."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
    folder = RunFolder(Path(path))
    cell = _cell(sys.stdin.buffer.read(int(size)), folder.path.name)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        outcome = attempt(Task(cell, folder))
    except (Interrupted, KeyboardInterrupt):
        return INTERRUPTED
    return FAILED if outcome.status == "failed" else 0


def _cell(text: bytes, name: str) -> Cell:
    """The cell of a resolved spec, under the name that it has in its survey."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spec.toml"
        path.write_bytes(text)
        (cell,) = expand(load_spec(path))
    return attrs.evolve(cell, name=name)


def _leave_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
