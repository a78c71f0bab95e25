"""What the benchmarks share: tasks that take turns, rates with their spread, and the verdict.

A task processes some images and returns how many. Seconds are those of the processor unless a clock is given: all
threads of this process, and none of what else the machine does meanwhile.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from statistics import median
from typing import Any

from attrs import frozen

Task = Callable[[], int]
Clock = Callable[[], float]


@frozen
class Rates:
    """Images per second of a task.

    Attributes:
        first: In the first round, which warms up caches and code.
        later: In each round after it.
    """

    first: float
    later: tuple[float, ...]

    @property
    def median(self) -> float:
        """Of the later rounds."""
        return median(self.later)

    def over(self, peer: Rates) -> float:
        """How many times the peer's rate: the median over rounds."""
        return median(own / other for own, other in zip(self.later, peer.later, strict=True))


@frozen
class Goal:
    """A ratio, and what it must be at least.

    Attributes:
        text: What stands behind the number: "x webdataset".
        value: What was measured; ``None`` where the peer is not installed.
        least: The goal; 0 for a ratio that is only told.
    """

    text: str
    value: float | None
    least: float = 0.0

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.text.removeprefix('x ')}: not measured"
        goal = f" (goal {self.least:,g})" if self.least else ""
        return f"{self.value:,.{1 if self.value >= 10 else 2}f} {self.text}{goal}"


def measure(tasks: Mapping[str, Task], repeats: int, clock: Clock = time.process_time) -> dict[str, Rates]:
    """Rates of each task; the tasks take turns, so that a busy machine slows all of them."""
    rounds = [{name: rate(task, clock) for name, task in tasks.items()} for _ in range(repeats + 1)]
    return {name: Rates(rounds[0][name], tuple(one[name] for one in rounds[1:])) for name in tasks}


def rate(task: Task, clock: Clock = time.process_time) -> float:
    """Images per second of one call."""
    start = clock()
    images = task()
    return images / (clock() - start)


def line(name: str, rates: Rates, unit: str = "images/s") -> str:
    """``name   median unit   (lowest to highest; first round)``."""
    spread = f"{min(rates.later):,.0f} to {max(rates.later):,.0f}; first {rates.first:,.0f}"
    return f"{name:46} {rates.median:>9,.0f} {unit}   ({spread})"


def verdict(goals: Iterable[Goal]) -> int:
    """Print the last line; 1 if a ratio that was measured is below its goal, else 0."""
    goals = tuple(goals)
    missed = any(goal.value is not None and goal.value < goal.least for goal in goals)
    print(f"{'FAIL' if missed else 'PASS'}: {', '.join(map(str, goals))}")
    return int(missed)


def peer(name: str, requirement: str) -> Any:
    """The module of a peer, or ``None`` and a line that says how to install it."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        remedy = f'pip install --target DIR "{requirement}", then set PYTHONPATH=DIR'
        print(f"{name} is not compared: {error}; {remedy}", file=sys.stderr)
        return None
