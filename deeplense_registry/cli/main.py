"""``deeplense``: parse, call the verb, and turn a user's mistake into one message and exit code 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..components import UserError
from . import (
    check,
    compare,
    data,
    embed,
    equivariance,
    export,
    plugins,
    predict,
    report,
    resume,
    run,
    runs,
    schema,
    search,
    shards,
    spec,
    tensorboard,
)

RUNNING = (run, resume, check, spec, schema, plugins, data, shards, runs, compare, report, tensorboard)
USING = (embed, search, predict, export, equivariance)
VERBS = (*RUNNING, *USING)


def parser() -> argparse.ArgumentParser:
    """The parser of every verb; building it imports no torch."""
    whole = argparse.ArgumentParser(
        prog="deeplense",
        description="Self-supervised learning on strong gravitational lenses: one spec, one command, compared results.",
        epilog="Begin with: deeplense run specs/quickstart.toml",
    )
    parsers = whole.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb in VERBS:
        verb.add(parsers)
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line.

    Returns:
        0 when all went well; 1 when cells of a survey failed; 2 for a user's mistake; 130 when interrupted.
    """
    parsed = parser().parse_args(arguments)
    try:
        code: int = parsed.call(parsed)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of a pipe has seen enough
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        print("interrupted; the same command continues", file=sys.stderr)
        return 130
    return code
