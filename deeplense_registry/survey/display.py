"""What a survey shows while it runs: a bar on a terminal, a line now and then elsewhere (a job's log file)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from threading import Event, Thread
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from ..engine import RunFolder
from ..engine.observers.progress import LINE_SECONDS
from .attempt import Outcome, Task
from .course import Course
from .forecast import Forecast

POLL_SECONDS = 0.5


class Display:
    """Shows the course of a survey on standard error until it is left; a thread of its own follows the logs."""

    def __init__(self, course: Course, running: Callable[[], tuple[RunFolder, ...]], *, shown: bool = True) -> None:
        """Take what to show; ``running`` says which runs are at work."""
        self._course, self._running = course, running
        self._console = Console(file=sys.stderr, quiet=not shown)
        self._left, self._stack = Event(), ExitStack()
        self._thread = Thread(target=self._follow, daemon=True)
        self._before: tuple[RunFolder, ...] = ()
        self._printed = 0.0
        self._known = False  # whether the time left was ever shown

    def __enter__(self) -> Display:
        """Begin to show."""
        cells, bar = TextColumn("{task.completed}/{task.total} cells"), BarColumn(bar_width=20)
        columns = (cells, bar, TextColumn("{task.description}"))
        self._bar = Progress(*columns, console=self._console)
        self._bar.add_task("", total=len(self._course.tasks), completed=self._course.done)
        if self._console.is_terminal:
            self._stack.enter_context(self._bar)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Show the last state, and end."""
        self._left.set()
        self._thread.join()
        self._show()
        self._stack.close()

    def ended(self, outcome: Outcome) -> None:
        """Say that a cell has ended; the caller tells of failures."""
        self._course.end(Task(outcome.cell, outcome.folder))
        if outcome.status == "finished":
            manifest = outcome.folder.manifest() or {}
            text = f"{outcome.cell.name} finished in {clock(manifest['ended'] - manifest['started'])}"
            self.say(f"{text}, {self._course.done} of {len(self._course.tasks)} cells")

    def _follow(self) -> None:
        while not self._left.wait(POLL_SECONDS):
            self._show()

    def _show(self) -> None:
        running = self._running()
        for text in self._course.read((*self._before, *running)):  # the former's last words too
            self.say(f"warning: {text}", style="yellow")
        self._before = running
        left = self._course.forecast()
        text = (f"{remaining(left)}  " if left else "") + "; ".join(map(self._course.line, running))  # the end is cut
        self._bar.update(TaskID(0), completed=self._course.done, description=escape(text))
        if not self._console.is_terminal and running and self._due(left):
            self._printed, self._known = time.monotonic(), left is not None
            self.say(f"{self._course.done}/{len(self._course.tasks)} cells  {text}")

    def say(self, text: str, style: str | None = None) -> None:
        """A line, above the bar."""
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def _due(self, left: Forecast | None) -> bool:
        """Every now and then, and as soon as the time left is known."""
        return time.monotonic() - self._printed > LINE_SECONDS or (left is not None and not self._known)


def remaining(left: Forecast) -> str:
    """``1:02:10 left``."""
    bound, rest = "more than " if left.late else "", "" if left.whole else ", and evaluation"
    return f"{bound}{clock(left.seconds)} left{rest}"


def clock(seconds: float) -> str:
    """``0:07``, ``12:30`` or ``3:00:00``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
