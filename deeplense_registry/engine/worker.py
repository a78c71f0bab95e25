"""One of several training processes; torchrun starts it on the folder of a run that its parent has prepared."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import torch
import torch.distributed as dist

from ..components import UserError
from ..shards.atomic import write_bytes
from ..spec import Cell, expand, load_spec
from .folder import RunFolder
from .observers import Observers, observers_of
from .precision import choose_device
from .session import Session
from .trainer import Interrupted
from .training import train
from .world import DistributedWorld

TIMEOUT = timedelta(minutes=5)


def main(path: str, parent: str) -> int:
    """Train as one rank.

    Returns:
        0; 2 for a user's mistake, whose message lies in the folder.
    """
    os.dup2(1, 2)  # torchrun's standard error is its own
    folder = RunFolder(Path(path))
    (cell,) = expand(load_spec(folder.path / "spec.toml"))
    world = _join(cell)
    try:
        with suppress(Interrupted):  # saved; the parent knows
            _train(cell, folder, world, int(parent))
    except UserError as error:
        write_bytes(folder.error, str(error).encode())
        return 2  # leave at once: after an exception, destroying the group can deadlock
    dist.destroy_process_group()
    return 0


def _join(cell: Cell) -> DistributedWorld:
    device = choose_device(cell.execute.device)
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=TIMEOUT)
    return DistributedWorld()


def _train(cell: Cell, folder: RunFolder, world: DistributedWorld, parent: int) -> None:
    session = Session(cell, folder, report=lambda done, total: None)
    observers = Observers() if world.rank else observers_of(cell.execute.observers)
    observers.run_started(folder=folder.path, spec=cell.resolved)

    def stop() -> bool:
        return folder.stop_mark.exists() or not alive(parent)

    train(session, observers, world, stop)
    observers.run_ended(status="trained")


def alive(process: int) -> bool:
    """Whether a process of ours exists."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def leave(code: int) -> NoReturn:
    """End the process at once.

    One of gloo's threads may still hold tensors of the last collective; letting go of them while the interpreter shuts
    down aborts the process, and torchrun then kills the others (pytorch#190489).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main(*sys.argv[1:]))
