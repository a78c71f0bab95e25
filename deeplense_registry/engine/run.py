"""One cell, from its spec to its measurements; begun, continued, or found finished."""

from __future__ import annotations

import time
from typing import Any

import attrs
import torch

from ..components import UserError
from ..spec import Cell
from .checkpoint import sha256
from .collapse import outcome
from .evaluating import evaluate
from .folder import RunFolder
from .launch import train_in_processes
from .observers import Observers, observers_of
from .online import OnlineProbe
from .precision import choose_device
from .provenance import plugin_record, surroundings
from .session import Session
from .stopping import stop_signals
from .trainer import Interrupted
from .training import train
from .world import SingleWorld


def run_cell(cell: Cell, folder: RunFolder) -> bool:
    """Run a cell in its folder, or continue it where it was left.

    Returns:
        Whether there was anything to do: a finished cell of the same spec is left as it is.

    Raises:
        UserError: The folder holds a run of another spec or of other files, or anything that the run's parts refuse.
        Interrupted: SIGINT or SIGTERM came; calling again continues.
    """
    with folder.locked() as lock:
        before = folder.manifest()
        if before is not None and before["train_digest"] != cell.train_digest:
            raise UserError(
                f"{folder.path} holds a run of another spec ({before['train_digest'][:12]}, not "
                f"{cell.train_digest[:12]}), or of files that have changed since: choose another run.name or --runs "
                "folder, or delete it"
            )
        if before is not None and before["status"] == "finished" and before["digest"] == cell.digest:
            return False
        _run(cell, folder, lock)
    return True


def _run(cell: Cell, folder: RunFolder, lock: int) -> None:
    """The phases, with a manifest that tells how far they came."""
    observers = observers_of(cell.execute.observers)
    manifest = _manifest(cell)
    folder.write_spec(cell)
    folder.write_manifest(manifest)
    observers.run_started(folder=folder.path, spec=cell.resolved)
    status = "failed"
    try:
        manifest |= _phases(cell, folder, observers, lock)
        status = "finished"
    except (Interrupted, KeyboardInterrupt):
        status = "interrupted"
        raise
    finally:
        folder.write_manifest({**manifest, **outcome(folder), "status": status, "ended": time.time()})
        observers.run_ended(status=status)


def _phases(cell: Cell, folder: RunFolder, observers: Observers, lock: int) -> dict[str, Any]:
    """Data, training, evaluation; what the manifest should say of them."""

    def report(done: int, total: int | None) -> None:
        observers.progress(done=done, total=total)

    observers.phase(name="data")
    session = Session(cell, folder, report)
    OnlineProbe(session)  # refuses targets that it cannot judge before a process is started
    with stop_signals() as stop:
        if cell.execute.processes > 1:
            train_in_processes(session, observers, stop, lock)
        else:
            train(session, observers, SingleWorld(), stop)
    folder.write_measurements(evaluate(session, observers))
    return {
        "precision": attrs.asdict(session.precision),
        "threads": torch.get_num_threads(),
        "shards": sha256(session.shards.folder / "manifest.json"),
    }


def _manifest(cell: Cell) -> dict[str, Any]:
    parts = (cell.dataset, cell.method, cell.backbone, *cell.evaluate)
    return {
        "name": cell.name,
        "status": "running",
        "digest": cell.digest,
        "train_digest": cell.train_digest,
        "seed": cell.seed,
        "dataset": cell.dataset.name,
        "method": cell.method.name,
        "backbone": cell.backbone.name,
        "plugins": [plugin_record(part.row) for part in parts if part.row is not None],
        "started": time.time(),
        **surroundings(choose_device(cell.execute.device)),
    }
