"""Training in several processes of this machine, through torchrun."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from tempfile import TemporaryDirectory

from ..components import UserError
from .folder import RunFolder
from .observers import Observers
from .session import Session
from .trainer import Interrupted

POLL_SECONDS = 0.1


def train_in_processes(session: Session, observers: Observers, stop: Callable[[], bool], lock: int) -> None:
    """Run :mod:`.worker` in ``execute.processes`` processes and wait for them.

    Args:
        session: The opened run; the workers open it again from its folder.
        observers: Told that training is over; rank 0 has its own.
        stop: Asked while waiting; the workers save a checkpoint and leave.
        lock: The descriptor of the folder's lock, which the workers keep should this process be killed.

    Raises:
        Interrupted: ``stop`` said so.
        UserError: A worker's, with its message.
    """
    folder = session.folder
    for mark in (folder.stop_mark, folder.error):
        mark.unlink(missing_ok=True)
    with TemporaryDirectory(prefix="deeplense-torchrun-") as logs:
        code = _wait(_start(folder, session.cell.execute.processes, lock, logs), folder, stop)
    if folder.stop_mark.exists():
        folder.stop_mark.unlink()
        raise Interrupted("stopped")
    if code:
        raise UserError(_reason(folder))
    observers.training_started(steps=session.facts.steps, step=session.facts.steps)


def _start(folder: RunFolder, processes: int, lock: int, logs: str) -> subprocess.Popen[bytes]:
    """``logs`` is where torchrun makes its folders; by itself it would leave them behind."""
    options = ["--standalone", f"--nproc-per-node={processes}", f"--log-dir={logs}"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", *options]
    command = [*torchrun, "--module", "deeplense_registry.engine.worker", str(folder.path), str(os.getpid())]
    environment = {"OMP_NUM_THREADS": "1", **os.environ}  # as torchrun would, without its warning
    with (folder.path / "torchrun.log").open("wb") as log:  # torchrun's own words; the workers speak on stdout
        return subprocess.Popen(
            command, env=environment, stdout=sys.stderr, stderr=log, pass_fds=(lock,), start_new_session=True
        )


def _wait(process: subprocess.Popen[bytes], folder: RunFolder, stop: Callable[[], bool]) -> int:
    while True:
        try:
            return process.wait(POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if stop():
                folder.stop_mark.touch()


def _reason(folder: RunFolder) -> str:
    if folder.error.exists():
        return folder.error.read_text()
    return f"a training process died; see {folder.path}/torchrun.log; the same command continues"
