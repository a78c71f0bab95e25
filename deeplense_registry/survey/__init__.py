"""Many runs."""

from .again import cell_of
from .attempt import Outcome, Task
from .difference import Difference, differences
from .execution import Execution, InOrder
from .garbage import Garbage, delete, garbage
from .processes import LocalProcesses
from .registry import Entry, at_work, entry, find_runs, one_run
from .reproduce import changed_since, finished_run, reproduce
from .selection import Wanted, rank, select
from .survey import run_cells, run_tasks, sigterm_interrupts

__all__ = [
    "Difference",
    "Entry",
    "Execution",
    "Garbage",
    "InOrder",
    "LocalProcesses",
    "Outcome",
    "Task",
    "Wanted",
    "at_work",
    "cell_of",
    "changed_since",
    "delete",
    "differences",
    "entry",
    "find_runs",
    "finished_run",
    "garbage",
    "one_run",
    "rank",
    "reproduce",
    "run_cells",
    "run_tasks",
    "select",
    "sigterm_interrupts",
]
