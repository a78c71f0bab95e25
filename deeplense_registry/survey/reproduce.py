"""A run is made again, elsewhere, from its own spec, and compared with what it was."""

from __future__ import annotations

from pathlib import Path

import torch

from ..components import UserError
from ..engine import RunFolder, run_cell
from ..engine.precision import choose_device
from ..engine.provenance import plugin_record, surroundings
from ..spec import Cell
from .difference import Difference, compared, data_of, plugins_of, results_of, surroundings_of
from .registry import one_run


def finished_run(path: Path) -> RunFolder:
    """The one run at ``path``.

    Raises:
        UserError: There is none, or several, or it is not finished.
    """
    run = one_run(path)
    status = (run.manifest() or {})["status"]
    if status != "finished":
        raise UserError(f"{run.path}: {status}, not finished; deeplense resume continues it")
    return run


def changed_since(run: RunFolder, cell: Cell) -> list[Difference]:
    """What is installed now otherwise than when the run was made: plugins, the core, versions."""
    before = run.manifest() or {}
    parts = (cell.dataset, cell.method, cell.backbone, *cell.evaluate)
    around = surroundings(choose_device(cell.execute.device))
    now = {"plugins": [plugin_record(part.row) for part in parts if part.row is not None], **around}
    return [
        *compared("plugins", plugins_of(before), plugins_of(now)),
        *compared("versions", before["versions"], around["versions"]),
    ]


def reproduce(run: RunFolder, cell: Cell, into: Path) -> list[Difference]:
    """Run the cell again in ``into/<run.name>/<cell>``; what differs in data and results.

    The number of threads is that of the run: it is part of the bits.

    Raises:
        UserError: A finished run lies there already.
        Interrupted: SIGINT or SIGTERM came; calling again continues.
    """
    again = RunFolder(into / cell.run / cell.name)
    if (again.manifest() or {}).get("status") == "finished":
        raise UserError(
            f"{again.path}: a finished run lies there already; delete it, or choose another folder by --into"
        )
    threads = (run.manifest() or {}).get("threads")
    if threads:
        torch.set_num_threads(threads)
    run_cell(cell, again)
    return against(run, again)


def against(run: RunFolder, again: RunFolder) -> list[Difference]:
    """What differs in data and results, to the last bit; and if anything does, the surroundings that do."""
    found = [*compared("data", data_of(run), data_of(again)), *compared("results", results_of(run), results_of(again))]
    around = compared("surroundings", surroundings_of(run), surroundings_of(again)) if found else ()
    return [*found, *(one for one in around if not one.name.startswith("git."))]
