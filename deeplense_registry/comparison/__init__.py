"""Runs side by side."""

from .comparison import Choice, Comparison, compare
from .critical import alike, critical_difference_figure, letters
from .gather import gather
from .models import Group, Model
from .records import as_csv
from .scores import Condition, Scores
from .sheet import Sheet
from .significance import Difference, holm
from .table import comparison_table

__all__ = [
    "Choice",
    "Comparison",
    "Condition",
    "Difference",
    "Group",
    "Model",
    "Scores",
    "Sheet",
    "alike",
    "as_csv",
    "compare",
    "comparison_table",
    "critical_difference_figure",
    "gather",
    "holm",
    "letters",
]
