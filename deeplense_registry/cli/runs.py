"""``deeplense runs list|show``: the runs that lie in a folder."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from .show import show as show_table


def add(parsers: Any) -> None:
    """Register the verb."""
    parser = parsers.add_parser("runs", help="list runs, or show one")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="a line for each run")
    listing.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs lie (runs)")
    listing.set_defaults(call=list_runs)
    show = actions.add_parser("show", help="a run's manifest and measurements")
    show.add_argument("run", type=Path, metavar="RUN", help="the folder of a run")
    show.add_argument("--json", action="store_true", help="for scripts")
    show.set_defaults(call=show_run)


def list_runs(arguments: argparse.Namespace) -> int:
    """A line for each run below the folder."""
    from rich.table import Table

    from ..survey import find_runs

    table = Table(header_style="bold")
    for name in ("run", "status", "dataset", "method", "backbone", "seed"):
        table.add_column(name)
    for run in find_runs([arguments.runs]):
        manifest = run.manifest() or {}
        fields = [str(manifest[name]) for name in ("dataset", "method", "backbone", "seed")]
        table.add_row(str(run.path), _status(manifest), *fields)
    show_table(table)
    return 0


def show_run(arguments: argparse.Namespace) -> int:
    """What a run was made with and what came of it."""
    import attrs

    from ..comparison import comparison_table
    from ..survey import find_runs

    for run in find_runs([arguments.run]):
        manifest, measurements = run.manifest() or {}, run.measurements() or ()
        if arguments.json:
            print(json.dumps({**manifest, "measurements": [attrs.asdict(one) for one in measurements]}, indent=1))
            continue
        for name in ("name", "status", "digest", "dataset", "method", "backbone", "seed", "precision", "versions"):
            print(f"{name:9} {_status(manifest) if name == 'status' else manifest[name]}")
        if manifest.get("collapsed"):
            print(f"collapse  {manifest['collapse']}")
        for plugin in manifest["plugins"]:
            print(f"plugin    {plugin['kind']} {plugin['name']}: {plugin['distribution']} {plugin['version']}")
        if measurements:
            show_table(comparison_table([run]))
    return 0


def _status(manifest: dict[str, Any]) -> str:
    """``finished``, say, or ``finished, collapsed``."""
    return f"{manifest['status']}, collapsed" if manifest.get("collapsed") else str(manifest["status"])
