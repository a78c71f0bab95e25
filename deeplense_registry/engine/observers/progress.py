"""What a run shows in the terminal: phase, loss, throughput, time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ...components import hookimpl

LINE_SECONDS = 10.0
"""Without a terminal, a line of progress at most this often."""


class ProgressBar:
    """A bar on a terminal, a line now and then elsewhere (a job's log file)."""

    def __init__(self) -> None:
        """Write to standard error, which leaves standard output to results."""
        self._console = Console(file=sys.stderr)
        self._bar: Progress | None = None
        self._first, self._start, self._last = 0, 0.0, 0.0

    @hookimpl
    def run_started(self, folder: Path) -> None:
        """Say what starts."""
        self._console.print(f"[bold]{folder.name}[/bold]", highlight=False)

    @hookimpl
    def phase(self, name: str) -> None:
        """Say what the run turns to."""
        self._begin(name, 0)

    @hookimpl
    def training_started(self, steps: int, step: int) -> None:
        """Say where training starts."""
        self._begin(f"training, continued after step {step} of {steps}" if step else "training", step)

    @hookimpl
    def progress(self, done: int, total: int | None) -> None:
        """Move the bar."""
        self._move(done, total, "")

    @hookimpl
    def scalars(self, step: int, steps: int, values: Mapping[str, float]) -> None:
        """Move the bar, with loss and throughput."""
        text = f"loss {values['loss']:.3f}  {values['images_per_second']:.0f} images/s"
        self._move(step, steps, text)

    @hookimpl
    def warning(self, text: str) -> None:
        """Say it at once, above the bar."""
        self._console.print(f"  warning: {text}", style="yellow", markup=False, highlight=False, soft_wrap=True)

    @hookimpl
    def run_ended(self, status: str) -> None:
        """Close the bar."""
        self._close()
        self._console.print(f"  {status}", highlight=False)

    def _begin(self, what: str, first: int) -> None:
        self._close()
        self._console.print(f"  {what}", highlight=False, style="dim")
        self._first, self._start, self._last = first, time.monotonic(), time.monotonic()

    def _move(self, done: int, total: int | None, text: str) -> None:
        if self._console.is_terminal:
            self._bar = self._bar or self._open()
            self._bar.update(TaskID(0), completed=done, total=total, description=text)
        elif time.monotonic() - self._last > LINE_SECONDS or done == total:
            self._last = time.monotonic()
            self._console.print(f"  {done}/{total or '?'}  {text}  {self._left(done, total)}", highlight=False)

    def _open(self) -> Progress:
        columns = (BarColumn(), TextColumn("{task.completed}/{task.total}"), TextColumn("{task.description}"))
        bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=self._console)
        bar.add_task("", completed=self._first)
        bar.start()
        return bar

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _left(self, done: int, total: int | None) -> str:
        if total is None or done <= self._first:
            return ""
        seconds = int((time.monotonic() - self._start) / (done - self._first) * (total - done))
        return f"{seconds // 60}:{seconds % 60:02d} left"
