"""``deeplense spec show``: what a spec means once its parents, overrides and defaults are filled in."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(parsers: Any) -> None:
    """Register the verb."""
    verbs = parsers.add_parser("spec", help="look into a spec").add_subparsers(metavar="VERB", required=True)
    parser = verbs.add_parser("show", help="show a spec with every default, and where each value comes from")
    parser.add_argument("spec", type=Path, metavar="SPEC", help="a TOML file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override, e.g. train.epochs=2")
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the resolved spec, which is a spec again, with origins as comments."""
    from ..spec import annotated, load_spec

    print(annotated(load_spec(arguments.spec, arguments.set)), end="")
    return 0
