"""``deeplense schema``: a JSON schema of specs, for editors."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any


def add(parsers: Any) -> None:
    """Register the verb."""
    parser = parsers.add_parser("schema", help="write the JSON schema of specs, of what is installed")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="where to, e.g. specs/.schema.json (standard output)"
    )
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the schema of the core's tables and every installed plugin's options."""
    from ..shards.atomic import write_bytes
    from ..spec import json_schema

    text = json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"
    if arguments.output is None:
        sys.stdout.write(text)
    else:
        write_bytes(arguments.output, text.encode())
    return 0
