"""``deeplense resume``: continue a run from its own folder, without the spec it came from."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add(parsers: Any) -> None:
    """Register the verb."""
    parser = parsers.add_parser("resume", help="continue a run from its folder alone")
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a run")
    parser.add_argument("--processes", type=int, metavar="N", help="processes of the run (execute.processes)")
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Continue the run to its end; a finished one is left as it is."""
    from ..engine import Interrupted, RunFolder, run_cell
    from ..survey import cell_of, sigterm_interrupts

    folder = RunFolder(arguments.run)
    cell = cell_of(folder, arguments.processes)
    try:
        with sigterm_interrupts():
            ran = run_cell(cell, folder)
    except Interrupted as stopped:
        print(f"{stopped}; the same command continues", file=sys.stderr)
        return 130
    folder.error.unlink(missing_ok=True)  # of an attempt that failed
    print(f"{folder.path}: {'finished' if ran else 'finished before, nothing to do'}")
    return 0
