"""A run's cell, from its folder alone."""

from __future__ import annotations

import attrs

from ..components import UserError
from ..engine import RunFolder
from ..spec import Cell, expand, load_spec

PROGRESS = "progress"
"""The name, in ``execute.observers``, of who shows progress."""


def cell_of(run: RunFolder, processes: int | None = None) -> Cell:
    """The cell that a run's folder describes, under the name it has there, and with a progress bar of its own.

    Args:
        run: The folder.
        processes: Instead of the run's ``execute.processes``.

    Raises:
        UserError: There is no spec in it, or it is wrong by now.
    """
    path = run.path / "spec.toml"
    if not path.is_file():
        raise UserError(
            f"{run.path}: no spec.toml here, so no run was begun; give the folder of a run, or run its spec"
        )
    cells = expand(load_spec(path, [] if processes is None else [f"execute.processes={processes}"]))
    if len(cells) != 1:
        raise UserError(f"{path}: a run's spec has one cell, this has {len(cells)}; use deeplense run")
    return attrs.evolve(shown(cells[0]), name=run.path.resolve().name)


def shown(cell: Cell) -> Cell:
    """The cell with its own progress bar."""
    return cell if PROGRESS in cell.execute.observers else _watched(cell, (*cell.execute.observers, PROGRESS))


def unseen(cell: Cell) -> Cell:
    """The cell without its own progress bar, where a survey has one."""
    return _watched(cell, tuple(name for name in cell.execute.observers if name != PROGRESS))


def _watched(cell: Cell, observers: tuple[str, ...]) -> Cell:
    return attrs.evolve(cell, execute=attrs.evolve(cell.execute, observers=observers))
