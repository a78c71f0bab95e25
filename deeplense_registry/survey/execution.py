"""Cells are run: in order, for now. A failing one is recorded and the rest goes on."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import frozen

from ..components import UserError
from ..engine import Interrupted, RunFolder, run_cell
from ..shards.atomic import write_bytes
from ..spec import Cell


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


def run_cells(
    name: str, cells: Sequence[Cell], runs: Path, tell: Callable[[Outcome], None] = lambda _: None
) -> list[Outcome]:
    """Run the cells of a spec into ``runs/name/<cell>``, telling of each when it ends.

    A single cell's failure is raised; among several it is an outcome.

    Raises:
        Interrupted: SIGINT or SIGTERM came; calling again continues.
    """
    outcomes = []
    for cell in cells:
        folder = RunFolder(runs / name / cell.name)
        outcome = _run(cell, folder) if len(cells) > 1 else _finish(cell, folder)
        outcomes.append(outcome)
        tell(outcome)
    return outcomes


def _finish(cell: Cell, folder: RunFolder) -> Outcome:
    return Outcome(cell, folder, "finished" if run_cell(cell, folder) else "skipped")


def _run(cell: Cell, folder: RunFolder) -> Outcome:
    try:
        return _finish(cell, folder)
    except Interrupted:
        raise
    except UserError as error:
        text = str(error)
    except Exception:  # one cell's fault must not cost the others
        text = traceback.format_exc()
    write_bytes(folder.error, text.encode())
    return Outcome(cell, folder, "failed", text)
