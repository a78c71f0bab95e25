"""Where a survey stands: which cells are done, how far the others are, and how long they will take."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from ..engine import RunFolder
from .attempt import Task
from .forecast import Forecast, Key, Work, forecast, predicted
from .pace import Pace
from .tail import Tail


class Course:
    """The course of a survey's tasks, read from the logs of their runs."""

    def __init__(self, tasks: Sequence[Task], images: Mapping[str, int], workers: int) -> None:
        """Read what the logs tell of earlier attempts.

        Args:
            tasks: Every cell of the survey.
            images: Training images of each data set, by its name in the spec, as far as known.
            workers: How many cells run at once.
        """
        self.tasks, self.workers = tuple(tasks), workers
        self._images = images
        self._ended: set[Path] = set()
        self._tails = {task.folder.path: Tail(task.folder.path / "log.jsonl") for task in tasks}
        self._paces = {path: Pace() for path in self._tails}
        self._warned: set[tuple[Path, str]] = set()
        for task in tasks:
            self._warned.update((task.folder.path, text) for text in self._read(task.folder.path))

    @property
    def done(self) -> int:
        """How many cells have ended."""
        return len(self._ended)

    def end(self, task: Task) -> None:
        """Note that a cell has ended, well or not."""
        self._ended.add(task.folder.path)

    def read(self, running: Iterable[RunFolder]) -> list[str]:
        """Take in what the runs at work have logged; returns new warnings, each with its run's name."""
        found = [(path, text) for path in {run.path: run for run in running} for text in self._read(path)]
        new = [one for one in dict.fromkeys(found) if one not in self._warned]
        self._warned.update(new)
        return [f"{path.name}: {text}" for path, text in new]

    def forecast(self) -> Forecast | None:
        """The time left; ``None`` until a step was timed."""
        per_step, rest = self._measured("per_step"), self._measured("rest")
        return forecast(list(self._work()), per_step, rest, self.workers)

    def line(self, run: RunFolder) -> str:
        """How far a run is: ``simsiam-levit-s0  training 12/60  loss -0.412  310 images/s``."""
        pace = self._paces[run.path]
        words = [run.path.name]
        if pace.phase == "training":
            words.append(f"training {pace.step}/{pace.steps}")
            words += [] if pace.loss is None else [f"loss {pace.loss:.3f}"]
            words += [] if pace.rate is None else [f"{pace.rate:.0f} images/s"]
        elif pace.phase == "evaluation":
            words.append(f"evaluation, {pace.measured} measurements")
        else:
            words += [pace.phase] if pace.phase else []
        return "  ".join(words)

    def _read(self, path: Path) -> list[str]:
        """Take in the news of one run; its warnings."""
        another, events = self._tails[path]()
        if another:
            self._paces[path] = Pace()
        for event in events:
            self._paces[path].take(event)
        return [event["text"] for event in events if event["event"] == "warning"]

    def _work(self) -> Iterator[Work]:
        shared = self._shared()
        for task in self.tasks:
            path = task.folder.path
            if path not in self._ended:
                pace = self._paces[path]
                steps = max(0, self._steps(task) - pace.step)
                spent = time.time() - pace.evaluating if pace.evaluating else 0.0
                yield Work(_key(task), steps, pace.per_step, spent, shared.get(path, 0.0))

    def _shared(self) -> dict[Path, float]:
        """Seconds for what cells of one backbone and seed share, at the first of each group where none has ended."""
        made: dict[Key, float] = {}
        first: dict[Key, Path] = {}
        for task in self.tasks:
            path, group = task.folder.path, _group(task)
            if (took := self._paces[path].shared) is not None:
                made[group] = max(took, made.get(group, 0.0))
            elif path not in self._ended:
                first.setdefault(group, path)
        measured: dict[Key, list[float]] = defaultdict(list)
        for group, took in made.items():
            measured[group[:-1]].append(took)
        means = {key: fmean(values) for key, values in measured.items()}
        return {path: predicted(means, group[:-1]) for group, path in first.items() if means and group not in made}

    def _steps(self, task: Task) -> int:
        """Of a whole run: all cells of a data set take the same number, which a skew may make smaller."""
        alike = [one for one in self.tasks if one.cell.dataset.name == task.cell.dataset.name]
        logged = [steps for one in alike if (steps := self._paces[one.folder.path].steps)]
        if logged:
            return logged[-1]
        train = task.cell.train
        return train.epochs * (self._images.get(task.cell.dataset.name, 0) // train.batch_size)

    def _measured(self, name: str) -> dict[Key, float]:
        """A duration by what it depends on, the mean of the seeds."""
        found: dict[Key, list[float]] = defaultdict(list)
        for task in self.tasks:
            value = getattr(self._paces[task.folder.path], name)
            if value is not None:
                found[_key(task)].append(value)
        return {key: fmean(values) for key, values in found.items()}


def _group(task: Task) -> Key:
    """Which cells train the same network from scratch."""
    return (task.cell.dataset.name, task.cell.backbone.name, str(task.cell.seed))


def _key(task: Task) -> Key:
    cell = task.cell
    return (cell.dataset.name, cell.method.name, cell.backbone.name)
