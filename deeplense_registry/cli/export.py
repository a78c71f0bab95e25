"""``deeplense export RUN -o DIR``: an encoder that travels."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(parsers: Any) -> None:
    """Register the verb."""
    parser = parsers.add_parser("export", help="take an encoder out of its run, with all that its user must know")
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a finished run")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="a new folder")
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Write weights, card and page."""
    from ..engine.use import export_encoder, open_run

    export_encoder(open_run(arguments.run)[0], arguments.out)
    print(f'{arguments.out}: load_encoder("{arguments.out}") has it')
    return 0
