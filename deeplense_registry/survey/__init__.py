"""Many runs."""

from .execution import Outcome, run_cells
from .registry import find_runs

__all__ = ["Outcome", "find_runs", "run_cells"]
