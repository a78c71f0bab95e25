"""``deeplense compare RUN...``: measurements side by side."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .show import show


def add(parsers: Any) -> None:
    """Register the verb."""
    parser = parsers.add_parser("compare", help="measurements of runs side by side")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of runs, or folders above them")
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the table."""
    from ..comparison import comparison_table
    from ..survey import find_runs

    show(comparison_table(find_runs(arguments.runs)))
    return 0
