"""``deeplense run``: train and evaluate what a spec describes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..components import UserError
from .show import show

if TYPE_CHECKING:
    from rich.table import Table

    from ..engine import RunFolder
    from ..spec import Cell
    from ..survey import Outcome

COLUMNS = 2
"""Runs that a terminal shows side by side, each with its untrained encoder."""


def add(parsers: Any) -> None:
    """Register the verb."""
    parser = parsers.add_parser("run", help="train and evaluate what a spec describes, or continue it")
    parser.add_argument("spec", type=Path, metavar="SPEC", help="a TOML file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override, e.g. train.epochs=2")
    about = 'of a survey only these: a name, a pattern ("*-cvt-*") or a number from 0'
    parser.add_argument("--cell", action="append", metavar="NAME", help=about)
    parser.add_argument("--processes", type=int, metavar="N", help="processes of a run (execute.processes)")
    parser.add_argument("--workers", type=int, metavar="N", help="runs of a survey at once (execute.workers)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs lie (runs)")
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Run every cell of the spec; finished ones are skipped, unfinished ones continued."""
    from ..spec import expand, load_spec

    given = {name: getattr(arguments, name) for name in ("processes", "workers")}
    overrides = [f"execute.{name}={value}" for name, value in given.items() if value is not None]
    spec = load_spec(arguments.spec, [*arguments.set, *overrides])
    cells = chosen(expand(spec), arguments.cell)  # every mistake shows before torch is imported

    from ..engine import Interrupted
    from ..survey import run_cells

    try:
        outcomes = run_cells(spec.run.name, cells, arguments.runs, _tell)
    except Interrupted as stopped:
        print(f"{stopped}; the same command continues", file=sys.stderr)
        return 130
    return _close(outcomes, arguments.runs / spec.run.name)


def chosen(cells: tuple[Cell, ...], wanted: Sequence[str] | None) -> tuple[Cell, ...]:
    """All cells, or those asked for: names, patterns of names, or numbers in the order of the spec.

    Raises:
        UserError: A word chooses none.
    """
    positions: set[int] = set()
    for word in wanted or ("*",):
        found = {at for at, cell in enumerate(cells) if word == str(at) or fnmatchcase(cell.name, word)}
        if not found:
            raise UserError(f"--cell {word}: no such cell; this spec has {', '.join(cell.name for cell in cells)}")
        positions |= found
    return tuple(cells[at] for at in sorted(positions))


def _tell(outcome: Outcome) -> None:
    if outcome.status == "failed":
        print(f"{outcome.cell.name} failed: {outcome.error.rstrip()}", file=sys.stderr)
    elif outcome.status == "skipped":
        print(f"{outcome.cell.name}: finished before, nothing to do ({outcome.folder.path})", file=sys.stderr)


def _close(outcomes: list[Outcome], folder: Path) -> int:
    """Show the results and where to look further."""
    done = [outcome.folder for outcome in outcomes if outcome.status != "failed"]
    if any(run.measurements() for run in done):
        for table in _tables(done):
            show(table)
    print(f"Results: {folder}")
    print(f"Curves and pictures: deeplense tensorboard {folder}")
    failed = len(outcomes) - len(done)
    if failed:
        print(f"{failed} of {len(outcomes)} cells failed; run the same command to try them again", file=sys.stderr)
    return 1 if failed else 0


def _tables(runs: list[RunFolder]) -> Iterator[Table]:
    """A column for each encoder of one or two runs; of more, methods by backbones."""
    from ..comparison import Choice, compare, comparison_table

    if len(runs) <= COLUMNS:
        yield comparison_table(runs)
        return
    for comparison in compare(runs, Choice())[0]:
        for sheet in comparison.matrices():
            yield sheet.terminal()
