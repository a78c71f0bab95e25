"""How the cells of a survey are executed: one small interface, and the simplest way, one after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator

from ..engine import RunFolder
from .attempt import Outcome, Task, attempt


class Execution(ABC):
    """Takes tasks and gives their outcomes. A cell that wants several processes starts them itself, wherever it is."""

    @abstractmethod
    def submit(self, task: Task) -> None:
        """Take a task; it may start now or later."""

    @abstractmethod
    def results(self) -> Iterator[Outcome]:
        """Wait for what was submitted; each outcome as it comes.

        Raises:
            Interrupted: SIGINT or SIGTERM came; what ran has saved its state.
        """

    @abstractmethod
    def running(self) -> tuple[RunFolder, ...]:
        """The runs at work now; asked from another thread."""


class InOrder(Execution):
    """One cell after the other, in this process."""

    def __init__(self) -> None:
        """Begin with nothing to do."""
        self._waiting: deque[Task] = deque()
        self._current: tuple[RunFolder, ...] = ()

    def submit(self, task: Task) -> None:
        """Put the task last."""
        self._waiting.append(task)

    def results(self) -> Iterator[Outcome]:
        """Run each."""
        while self._waiting:
            task = self._waiting.popleft()
            self._current = (task.folder,)
            outcome = attempt(task)
            self._current = ()
            yield outcome

    def running(self) -> tuple[RunFolder, ...]:
        """The run at work."""
        return self._current
