"""``deeplense report RUNS... -o report.html``: runs side by side on one page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add(parsers: Any) -> None:
    """Register the verb."""
    parser = parsers.add_parser("report", help="runs side by side on one HTML page that needs no network")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUNS", help="folders of runs, or folders above them")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("report.html"), metavar="FILE", help="the page (report.html)"
    )
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the page.

    Raises:
        UserError: There are no runs, matplotlib is missing, or the page cannot be written.
    """
    from ..comparison.report import report_page
    from ..components import UserError
    from ..shards.atomic import write_bytes
    from ..survey import find_runs

    page, warnings = report_page(find_runs(arguments.runs))
    for text in warnings:
        print(f"warning: {text}", file=sys.stderr)
    try:
        write_bytes(arguments.output, page.encode())
    except OSError as error:
        raise UserError(f"{arguments.output}: cannot be written ({error}); choose another place with -o") from error
    print(f"{arguments.output}: {len(page.encode()) / 1e6:.1f} MB")
    return 0
