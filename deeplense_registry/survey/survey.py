"""A survey: the cells of a spec, run to their end whatever becomes of single ones."""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..components import UserError
from ..engine import RunFolder, run_cell
from ..engine.observers import Observers
from ..engine.observers.progress import ProgressBar
from ..engine.session import shards_folder
from ..shards import read_manifest
from ..spec import Cell, Instance
from .again import PROGRESS, unseen
from .attempt import Outcome, Task, failed, finished_before
from .course import Course
from .display import Display
from .execution import Execution, InOrder
from .processes import LocalProcesses, threads

LOOSE_THREADS = "train.threads is not fixed: cells take {} each, and equal those run in order only up to rounding"


def run_cells(
    name: str, cells: Sequence[Cell], runs: Path, tell: Callable[[Outcome], None] = lambda _: None
) -> list[Outcome]:
    """Run the cells of a spec into ``runs/name/<cell>``, telling of each when it ends.

    A single cell runs in this process, under its own observers, and its failure is raised. Several run as
    ``execute.workers`` says, a failure is an outcome, and the survey shows its own progress in place of theirs.

    Returns:
        The outcomes, in the order of the cells.

    Raises:
        Interrupted: SIGINT or SIGTERM came; calling again continues.
    """
    tasks = [Task(cell, RunFolder(runs / name / cell.name)) for cell in cells]
    with sigterm_interrupts():
        if len(tasks) > 1:
            return run_tasks(tasks, tell)
        (task,) = tasks
        ran = run_cell(task.cell, task.folder)
        task.folder.error.unlink(missing_ok=True)  # of an earlier attempt
        outcome = Outcome(task.cell, task.folder, "finished" if ran else "skipped")
        tell(outcome)
        return [outcome]


def run_tasks(tasks: Sequence[Task], tell: Callable[[Outcome], None]) -> list[Outcome]:
    """Skip what is finished and run the rest."""
    outcomes = {task.folder.path: _skipped(task) for task in tasks if finished_before(task)}
    for outcome in outcomes.values():
        tell(outcome)
    rest = [task for task in tasks if task.folder.path not in outcomes]
    for outcome in _run(tasks, rest) if rest else ():
        outcomes[outcome.folder.path] = outcome
        tell(outcome)
    return [outcomes[task.folder.path] for task in tasks]


def _skipped(task: Task) -> Outcome:
    return Outcome(task.cell, task.folder, "skipped")


def _run(tasks: Sequence[Task], rest: Sequence[Task]) -> Iterator[Outcome]:
    """Build the data that cells share, once and before any of them; then run the cells whose data there are."""
    execute = rest[0].cell.execute  # one table for all
    shown = PROGRESS in execute.observers
    images, broken = _data([task.cell.dataset for task in rest], shown)
    execution: Execution = InOrder() if execute.workers == 1 else LocalProcesses(execute.workers)
    course = Course(tasks, images, execute.workers)
    for task in tasks:
        if finished_before(task) or task.cell.dataset.name in broken:
            course.end(task)
        else:
            execution.submit(Task(unseen(task.cell), task.folder))
    yield from (failed(task, broken[name]) for task in rest if (name := task.cell.dataset.name) in broken)
    with Display(course, execution.running, shown=shown) as display:
        if execute.workers > 1 and (each := threads(rest[0], execute.workers)):
            display.say(LOOSE_THREADS.format(each["OMP_NUM_THREADS"]))
        for outcome in execution.results():
            display.ended(outcome)
            yield outcome


def _data(datasets: Sequence[Instance], shown: bool) -> tuple[dict[str, int], dict[str, str]]:
    """The number of training images of each data set, whose shards are built; and why others could not be."""
    observers = Observers([ProgressBar()] if shown else [])
    images, broken = {}, {}
    for name, dataset in {one.name: one for one in datasets}.items():
        observers.phase(name=f"data {name}")
        try:
            folder = shards_folder(dataset, lambda done, total: observers.progress(done=done, total=total))
            images[name] = read_manifest(folder).card.splits.get("train") or 0
        except UserError as error:
            broken[name] = str(error)
        except Exception:  # one data set's fault must not cost the others
            broken[name] = traceback.format_exc()
        observers.run_ended(status="failed" if name in broken else "ready")
    return images, broken


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM, which schedulers send before they kill, stop as Ctrl-C does: outside training too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
