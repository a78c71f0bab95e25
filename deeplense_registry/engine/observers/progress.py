"""What a run shows in the terminal: phase, loss, throughput, time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
        self._task: TaskID | None = None
        self._last = 0.0

    @hookimpl
    def run_started(self, folder: Path, steps: int, step: int) -> None:
        """Say what starts or continues."""
        self._steps, self._first, self._start = steps, step, time.monotonic()
        begun = f"continues after step {step} of {steps}" if step else f"{steps} steps"
        self._console.print(f"[bold]{folder.name}[/bold]: {begun}", highlight=False)

    @hookimpl
    def phase(self, name: str) -> None:
        """Begin or end the bar."""
        self._close()
        self._console.print(f"  {name}", highlight=False, style="dim")
        if name == "training":
            self._start = time.monotonic()
            self._open()

    @hookimpl
    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Move the bar."""
        text = f"loss {values.get('loss', float('nan')):.3f}  {values.get('images_per_second', 0):.0f} images/s"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=step, description=text)
        elif time.monotonic() - self._last > LINE_SECONDS or step == self._steps:
            self._last = time.monotonic()
            self._console.print(f"  step {step}/{self._steps}  {text}  {self._left(step)} left", highlight=False)

    @hookimpl
    def measurement(self, measurement: Any) -> None:
        """Show nothing: results have their table."""

    @hookimpl
    def run_ended(self, status: str) -> None:
        """Close the bar."""
        self._close()
        self._console.print(f"  {status}", highlight=False)

    def _open(self) -> None:
        if self._console.is_terminal:
            columns = (BarColumn(), TextColumn("{task.completed}/{task.total}"), TextColumn("{task.description}"))
            self._bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=self._console)
            self._task = self._bar.add_task("", total=self._steps, completed=self._first)
            self._bar.start()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _left(self, step: int) -> str:
        done = step - self._first
        seconds = (time.monotonic() - self._start) / max(done, 1) * (self._steps - step)
        return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
