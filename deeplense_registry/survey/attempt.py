"""One cell is tried, and whatever becomes of it is told."""

from __future__ import annotations

import traceback

from attrs import frozen

from ..components import UserError
from ..engine import Interrupted, RunFolder, run_cell
from ..shards.atomic import write_bytes
from ..spec import Cell

FAILED = 3
"""The exit code of a process whose cell failed and has told why in ``error.txt``; a crash gives others."""
INTERRUPTED = 130
"""The exit code of a process that was asked to stop."""


@frozen
class Task:
    """A cell and where it runs."""

    cell: Cell
    folder: RunFolder


@frozen
class Outcome:
    """What became of a cell.

    Attributes:
        cell: The cell.
        folder: Its run.
        status: "finished", "skipped" (it was finished before) or "failed".
        error: The message, or the traceback of what was not the user's mistake; also in ``error.txt`` of the run.
    """

    cell: Cell
    folder: RunFolder
    status: str
    error: str = ""


def attempt(task: Task) -> Outcome:
    """Run a cell, or continue it, in this process; a failure is an outcome.

    Raises:
        Interrupted: SIGINT or SIGTERM came; calling again continues.
    """
    try:
        ran = run_cell(task.cell, task.folder)
    except Interrupted:
        raise
    except UserError as error:
        return failed(task, str(error))
    except Exception:  # one cell's fault must not cost the others
        return failed(task, traceback.format_exc())
    task.folder.error.unlink(missing_ok=True)  # of an earlier attempt
    return Outcome(task.cell, task.folder, "finished" if ran else "skipped")


def failed(task: Task, text: str) -> Outcome:
    """The outcome of a failure, whose message is kept in the run's folder."""
    write_bytes(task.folder.error, text.encode())
    return Outcome(task.cell, task.folder, "failed", text)


def finished_before(task: Task) -> bool:
    """Whether the folder holds this very cell, finished; a damaged folder is left for the attempt to complain of."""
    try:
        manifest = task.folder.manifest() or {}
    except UserError:
        return False
    return (manifest.get("status"), manifest.get("digest")) == ("finished", task.cell.digest)
