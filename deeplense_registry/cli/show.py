"""Tables on the terminal, or whole in a file or pipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

WIDE = 140
"""Columns where nobody's terminal sets a limit; rich would take 80 and break cells."""


def show(table: Table) -> None:
    """Print a table to standard output."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else WIDE).print(table)
