"""Progress of a verb's work, on the error stream: a bar on a terminal, else a line from time to time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

QUIET_SECONDS = 5.0
"""Between lines of progress where there is no terminal."""

Report = Callable[[int, "int | None"], None]


@contextmanager
def counting(name: str, what: str = "samples") -> Iterator[Report]:
    """A function ``report(done, total)`` that shows how far ``name`` has come."""
    if not sys.stderr.isatty():
        yield _lines(name, what)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=None, visible=False)  # work that was done before shows nothing
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


def _lines(name: str, what: str) -> Report:
    shown = monotonic()

    def report(done: int, total: int | None) -> None:
        nonlocal shown
        if done == total or monotonic() - shown > QUIET_SECONDS:
            shown = monotonic()
            print(f"{name}: {done}{'' if total is None else f' of {total}'} {what}", file=sys.stderr)

    return report
