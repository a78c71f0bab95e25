"""``deeplense runs list|show|diff|reproduce|gc``: the runs that lie in a folder."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .show import show as show_table

if TYPE_CHECKING:
    from ..interfaces import Measurement
    from ..survey import Difference, Entry

FIELDS = ("dataset", "method", "backbone", "seed")


def add(parsers: Any) -> None:
    """Register the verb."""
    parser = parsers.add_parser("runs", help="list, show, compare, reproduce or tidy runs")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _add_list(actions)
    show = actions.add_parser("show", help="a run's manifest and measurements")
    show.add_argument("run", type=Path, metavar="RUN", help="the folder of a run")
    show.add_argument("--json", action="store_true", help="for scripts")
    show.set_defaults(call=show_run)
    diff = actions.add_parser("diff", help="what differs between two runs, and only that")
    diff.add_argument("one", type=Path, metavar="A", help="the folder of a run")
    diff.add_argument("other", type=Path, metavar="B", help="the folder of another")
    diff.add_argument("--json", action="store_true", help="for scripts")
    diff.set_defaults(call=diff_runs)
    again = actions.add_parser("reproduce", help="make a run again, elsewhere, and say whether it is the same")
    again.add_argument("run", type=Path, metavar="RUN", help="the folder of a finished run")
    again.add_argument("--into", type=Path, default=Path("reproduced"), metavar="DIR", help="where to (reproduced)")
    again.add_argument("--anyway", action="store_true", help="though plugins or versions are others by now")
    again.set_defaults(call=reproduce_run)
    gc = actions.add_parser("gc", help="list what may be deleted without losing a result, or delete it")
    gc.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs lie (runs)")
    gc.add_argument("--yes", action="store_true", help="delete it")
    gc.set_defaults(call=collect)


def _add_list(actions: Any) -> None:
    parser = actions.add_parser("list", help="a line for each run")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs lie (runs)")
    for key in ("dataset", "method", "backbone"):
        parser.add_argument(f"--{key}", metavar="NAME", help=f"only with this {key} (its table's name or its plugin's)")
    parser.add_argument("--status", metavar="STATUS", help="only finished, failed, interrupted, killed, collapsed, ...")
    parser.add_argument(
        "--metric", metavar="E/T/M", help="sort by a measurement: linear/class/auroc, or .../300 labels"
    )
    parser.add_argument("--top", type=int, metavar="N", help="only the first N")
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.set_defaults(call=list_runs)


def list_runs(arguments: argparse.Namespace) -> int:
    """A line for each run below the folder that is as asked, the best first where a metric is given."""
    from ..components import UserError
    from ..survey import Wanted, entry, find_runs, rank, select

    if arguments.top is not None and arguments.top < 1:
        raise UserError(f"--top {arguments.top}: give 1 or more")
    keys = ("dataset", "method", "backbone", "status")
    found = select(map(entry, find_runs([arguments.runs])), **{key: getattr(arguments, key) for key in keys})
    rows: list[tuple[Entry, Measurement | None]] = [(one, None) for one in found]
    if arguments.metric and found:
        rows = list(rank(found, Wanted.parse(arguments.metric)))
    rows = rows[: arguments.top]
    if arguments.json:
        print(json.dumps([_as_json(*row) for row in rows], indent=1))
    elif rows:
        _show(rows, arguments.metric)
    else:
        print("no run is as asked")
    return 0


def _as_json(one: Entry, measured: Measurement | None) -> dict[str, Any]:
    keys = (*FIELDS, "digest", "started", "ended")
    row = {"path": str(one.run.path), "status": one.status, **{key: one.manifest.get(key) for key in keys}}
    return row if measured is None else {**row, "measurement": measured.as_json()}


def _show(rows: Sequence[tuple[Entry, Measurement | None]], metric: str | None) -> None:
    from rich.table import Table

    table = Table(header_style="bold")
    for name in ("run", "status", *FIELDS):
        table.add_column(name)
    if metric:
        table.add_column("labels", justify="right")
        table.add_column(metric, justify="right")
    for one, measured in rows:
        scores = (
            [str(measured.labels), f"{measured.value:.3f} ({measured.low:.3f} {measured.high:.3f})"] if measured else []
        )
        table.add_row(str(one.run.path), one.status, *map(one.value, FIELDS), *scores)
    show_table(table)
    for one, _ in rows:
        if one.problem:
            print(one.problem, file=sys.stderr)


def show_run(arguments: argparse.Namespace) -> int:
    """What a run was made with and what came of it."""
    from ..comparison import comparison_table
    from ..survey import entry, find_runs

    for run in find_runs([arguments.run]):
        one, manifest, measurements = entry(run), run.manifest() or {}, run.measurements() or ()
        if arguments.json:
            print(json.dumps({**manifest, "measurements": [row.as_json() for row in measurements]}, indent=1))
            continue
        for name in ("name", "status", "digest", *FIELDS, "precision", "versions"):
            print(f"{name:9} {one.status if name == 'status' else one.value(name)}")
        if manifest.get("collapsed"):
            print(f"collapse  {manifest['collapse']}")
        for plugin in manifest.get("plugins", ()):
            print(f"plugin    {plugin['kind']} {plugin['name']}: {plugin['distribution']} {plugin['version']}")
        if run.error.exists():
            print(f"error     {run.error.read_text().rstrip()}")
        if measurements:
            show_table(comparison_table([run]))
    return 0


def diff_runs(arguments: argparse.Namespace) -> int:
    """What differs between two runs."""
    import attrs

    from ..survey import differences, one_run

    found = differences(one_run(arguments.one), one_run(arguments.other))
    if arguments.json:
        print(json.dumps([attrs.asdict(one) for one in found], indent=1))
    elif found:
        _show_differences(found, str(arguments.one), str(arguments.other))
    else:
        print("nothing differs")
    return 0


def _show_differences(found: Sequence[Difference], one: str, other: str) -> None:
    from rich.table import Table

    table = Table(header_style="bold")
    for name in ("part", "what", one, other):
        table.add_column(name, overflow="fold")
    for difference in found:
        table.add_row(difference.part, difference.name, difference.one, difference.other)
    show_table(table)


def reproduce_run(arguments: argparse.Namespace) -> int:
    """Make a run again and compare: 0 if it is the same to the last bit, else 1."""
    from ..components import UserError
    from ..engine import Interrupted
    from ..survey import cell_of, changed_since, finished_run, reproduce, sigterm_interrupts

    run = finished_run(arguments.run)
    cell = cell_of(run)
    if changed := changed_since(run, cell):
        _show_differences(changed, "then", "now")
        if not arguments.anyway:
            raise UserError(f"{run.path}: made with what is listed above; install that, or say --anyway")
    try:
        with sigterm_interrupts():
            found = reproduce(run, cell, arguments.into)
    except Interrupted as stopped:
        print(f"{stopped}; the same command continues", file=sys.stderr)
        return 130
    if not found:
        print("equal: the encoder and every measurement, to the last bit")
        return 0
    _show_differences(found, "then", "now")
    print("different")
    return 1


def collect(arguments: argparse.Namespace) -> int:
    """List, or delete, what may go."""
    from ..survey import delete, garbage

    found = garbage(arguments.runs)
    for one in found:
        print(f"{one.bytes:>14,} bytes  {one.path}  ({one.why})")
    if arguments.yes:
        print(f"{sum(map(delete, found)):,} bytes freed")
    else:
        total = f"{sum(one.bytes for one in found):,} bytes"
        print(f"{total} in all; --yes deletes them" if found else "nothing to delete")
    return 0
