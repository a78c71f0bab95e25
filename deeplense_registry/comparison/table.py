"""Measurements of runs as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ..components import UserError
from ..engine.folder import RunFolder
from ..interfaces import Measurement

Key = tuple[str, str, str, int]
Column = dict[Key, Measurement]


def comparison_table(runs: Sequence[RunFolder]) -> Table:
    """A row for each evaluator, target, metric and budget; the untrained encoder beside the trained, run by run.

    Raises:
        UserError: No run has measurements yet.
    """
    columns: dict[str, Column] = {}
    for run in runs:
        columns |= _columns(run, alone=len(runs) == 1)
    if not any(columns.values()):
        raise UserError("no measurements yet: the runs are unfinished, or their spec has no [evaluate] table")
    table = Table(header_style="bold", box=SIMPLE_HEAD)
    for name in ("evaluator", "target", "metric"):
        table.add_column(name)
    table.add_column("labels", justify="right")
    for name in columns:
        table.add_column(name, justify="right")
    for key in _keys(columns):
        evaluator, target, metric, labels = key
        cells = [_cell(column.get(key)) for column in columns.values()]
        table.add_row(evaluator, target, metric, str(labels) if labels else "", *cells)
    return table


def _columns(run: RunFolder, *, alone: bool) -> dict[str, Column]:
    measurements = run.measurements() or ()
    collapsed = bool((run.manifest() or {}).get("collapsed"))
    columns: dict[str, Column] = {}
    for encoder in ("untrained", "supervised", "trained"):
        if encoder == "supervised" and not any(one.encoder == encoder for one in measurements):
            continue
        title = encoder if alone else f"{run.path.name}\n{encoder}"
        title += "\n(collapsed)" * (collapsed and encoder == "trained")
        columns[title] = {
            (one.evaluator, one.target, one.metric, one.labels): one
            for one in measurements
            if one.encoder == encoder and one.split == "test"
        }
    return columns


def _keys(columns: dict[str, Column]) -> list[Key]:
    """Every key, in the order of first appearance but for the labels, which ascend."""
    first: dict[tuple[str, str, str], int] = {}
    keys = {key for column in columns.values() for key in column}
    for column in columns.values():
        for key in column:
            first.setdefault(key[:3], len(first))
    return sorted(keys, key=lambda key: (first[key[:3]], key[3]))


def _cell(one: Measurement | None) -> str:
    if one is None:
        return "-"
    return f"{one.value:.3f} [dim]({one.low:.3f} {one.high:.3f})[/dim]"
