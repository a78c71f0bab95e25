"""``deeplense tensorboard RUN...``: TensorBoard on the curves and pictures of runs."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any


def add(parsers: Any) -> None:
    """Register the verb."""
    parser = parsers.add_parser("tensorboard", help="open TensorBoard on runs")
    parser.add_argument("runs", type=Path, metavar="RUNS", help="the folder of a run, or one above several")
    parser.add_argument("--port", type=int, default=6006, help="the port to serve on (6006)")
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Replace this process by TensorBoard's server."""
    from ..survey import find_runs

    find_runs([arguments.runs])  # a clear message rather than an empty page
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(arguments.runs), "--port", str(arguments.port)]
    os.execv(sys.executable, command)  # noqa: S606
