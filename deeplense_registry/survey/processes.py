"""Several cells at once, each in a process of its own on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from attrs import define, field

from ..engine import Interrupted, RunFolder
from ..engine.stopping import stop_signals
from ..spec import to_toml
from .attempt import FAILED, Outcome, Task, failed
from .execution import Execution
from .registry import at_work

POLL_SECONDS = 0.1
TRIES = 2
"""How often a cell is begun whose process dies."""
COMMAND = (sys.executable, "-m", "deeplense_registry.survey.worker")


@define(eq=False)
class Worker:
    """A process at work on a task."""

    task: Task
    process: subprocess.Popen[bytes]

    def wait(self) -> None:
        """Wait until it has ended, and close what it listened to."""
        self.process.wait()
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):  # what it never read
                self.process.stdin.close()


@define(eq=False)
class LocalProcesses(Execution):
    """At most ``count`` processes; one that dies takes no other with it, and its cell is begun once more.

    Attributes:
        count: How many at once.
    """

    count: int
    _waiting: deque[Task] = field(init=False, factory=deque)
    _workers: tuple[Worker, ...] = field(init=False, default=())
    _deaths: dict[str, int] = field(init=False, factory=dict)

    def submit(self, task: Task) -> None:
        """Put the task last."""
        self._waiting.append(task)

    def running(self) -> tuple[RunFolder, ...]:
        """The runs at work."""
        return tuple(worker.task.folder for worker in self._workers)

    def results(self) -> Iterator[Outcome]:
        """Start processes and wait for them.

        Raises:
            Interrupted: SIGINT or SIGTERM came, and every process has saved its state and left.
        """
        with stop_signals() as stop:
            try:
                while self._waiting or self._workers:
                    self._start()
                    yield from self._ended()
                    if stop():
                        self._stop()
                        raise Interrupted("stopped")
                    time.sleep(POLL_SECONDS)
            finally:
                self._kill()

    def _start(self) -> None:
        """Fill the free places; a cell whose folder is still held by what its dead process left waits."""
        for task in list(self._waiting):
            if len(self._workers) == self.count:
                return
            if not (self._deaths.get(task.cell.name) and at_work(task.folder)):
                self._waiting.remove(task)
                self._workers += (Worker(task, start(task, self.count)),)

    def _ended(self) -> Iterator[Outcome]:
        for worker in self._workers:
            code = worker.process.poll()
            if code is not None:
                worker.wait()
                self._workers = tuple(one for one in self._workers if one is not worker)
                yield from self._judge(worker.task, code)

    def _judge(self, task: Task, code: int) -> Iterator[Outcome]:
        """What an exit code means; a process that died gives its task back."""
        if code in (0, FAILED):
            text = "" if code == 0 else task.folder.error.read_text()
            yield Outcome(task.cell, task.folder, "failed" if code else "finished", text)
            return
        name = task.cell.name
        self._deaths[name] = self._deaths.get(name, 0) + 1
        if self._deaths[name] < TRIES:
            self._waiting.append(task)
        else:
            yield failed(task, f"its process died {TRIES} times, at last {_how(code)}; see {_log(task.folder)}")

    def _stop(self) -> None:
        """Ask every process to save its state and leave, and wait for it."""
        for worker in self._workers:
            worker.process.send_signal(signal.SIGINT)
        for worker in self._workers:
            worker.wait()
        self._workers = ()

    def _kill(self) -> None:
        """End what still runs, when this process is in haste."""
        for worker in self._workers:
            worker.process.kill()
            worker.wait()
        self._workers = ()


def start(task: Task, count: int) -> subprocess.Popen[bytes]:
    """A process at work on the task, one of ``count``; it leaves if this one dies."""
    spec = to_toml(task.cell.resolved).encode()
    task.folder.path.mkdir(parents=True, exist_ok=True)
    with _log(task.folder).open("ab") as log:
        process = subprocess.Popen(
            [*COMMAND, str(task.folder.path), str(len(spec))],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env={**os.environ, **threads(task, count)},
            start_new_session=True,  # Ctrl-C reaches this process, which tells the others
        )
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it died already, as its exit code will tell
        process.stdin.write(spec)
        process.stdin.flush()
    return process


def threads(task: Task, count: int) -> dict[str, str]:
    """The environment in which ``count`` processes share the cores.

    It is empty, and thus that of cells run in order, where the number of threads is fixed: by the spec, or by the
    user's own ``OMP_NUM_THREADS``. Elsewhere the number differs from that in order, and with it the last bits.
    """
    train = task.cell.train
    if train.threads or train.reproducible or "OMP_NUM_THREADS" in os.environ:
        return {}
    each = max(1, cores() // (count * task.cell.execute.processes))
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(each))


def cores() -> int:
    """The cores that this process may use: fewer than the machine's in a SLURM job or a container."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _how(code: int) -> str:
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"


def _log(folder: RunFolder) -> Path:
    """What a cell's process says."""
    return folder.path / "worker.log"
