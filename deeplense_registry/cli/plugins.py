"""``deeplense plugins``: what is installed, and whether it works."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..components import KINDS, Row, catalogue
from .show import show


def add(parsers: Any) -> None:
    """Register the verb."""
    parser = parsers.add_parser("plugins", help="list the installed methods, backbones, datasets and evaluators")
    parser.add_argument("--kind", choices=KINDS, help="only this kind")
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """List the entry points; a broken one is a row with the last line of its error."""
    rows = [row for row in catalogue() if arguments.kind in (None, row.found.kind)]
    if arguments.json:
        print(json.dumps([row.as_json() for row in rows], indent=1))
    elif rows:
        _show(rows)
    else:
        print("no plugins installed; for example: pip install deeplense-simclr deeplense-levit deeplense-lenses")
    return 0


def _show(rows: list[Row]) -> None:
    from rich.table import Table

    table = Table(header_style="bold")
    for name in ("kind", "name", "distribution", "state", "summary"):
        table.add_column(name)
    for row in rows:
        line = row.as_json()
        state = row.state if row.state == "ok" else f"[red]{row.state}[/red]"
        distribution = f"{line['distribution']} {line['version']}"
        table.add_row(row.found.kind, row.found.name, distribution, state, str(line["summary"]))
    show(table)
