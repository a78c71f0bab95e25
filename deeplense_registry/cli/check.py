"""``deeplense check``: is this spec right, and what would it run? Imports no torch."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..components import DatasetFacts, RunFacts
    from ..spec import Cell, Problem, Spec


def add(parsers: Any) -> None:
    """Register the verb."""
    parser = parsers.add_parser("check", help="check a spec without running it")
    parser.add_argument("spec", type=Path, metavar="SPEC", help="a TOML file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override, e.g. train.epochs=2")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="of the answer (text)")
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Say that the spec is right and what it would run, or all that is wrong with it.

    Raises:
        SpecError: It is wrong, and the answer is to be text.
    """
    from ..spec import SpecError, expand, load_spec

    try:
        spec = load_spec(arguments.spec, arguments.set)
        cells = expand(spec)
        facts = _facts(spec, cells)
    except SpecError as error:
        if arguments.format == "text":
            raise
        print(_json((), (), error.problems))
        return 2
    if arguments.format == "json":
        print(_json(cells, facts, ()))
    else:
        print(f"{arguments.spec}: {_summary(facts)}")
    return 0


def _facts(spec: Spec, cells: Sequence[Cell]) -> list[RunFacts | None]:
    """The facts of each cell; those on shards that lie here are checked too, since their manifest tells them."""
    from ..spec import SpecError, cell_faults, run_facts

    known = {one.name: _shards(one.options.path) for one in spec.dataset if one.use == "shards"}
    faults = [
        fault
        for cell in cells
        if (dataset := known.get(cell.dataset.name)) is not None
        for fault in cell_faults(cell, dataset)
    ]
    if faults:
        raise SpecError([spec.sources.problem(fault) for fault in dict.fromkeys(faults)])
    return [run_facts(cell, known.get(cell.dataset.name)) for cell in cells]


def _shards(path: str) -> DatasetFacts | None:
    """What the manifest of shards says; ``None`` where they must be fetched or indexed first.

    Raises:
        UserError: The folder is absent, or has no whole manifest.
    """
    from ..components import DatasetFacts
    from ..shards import manifest_at

    manifest = manifest_at(path)
    if manifest is None:
        return None
    images = {split: sum(shard.count for shard in shards) for split, shards in manifest.splits.items()}
    return DatasetFacts(shape=manifest.card.shape, images=images, targets=manifest.card.targets)


def _summary(facts: Sequence[RunFacts | None]) -> str:
    """``right: 3 runs of 600 steps on 4000 training images``."""
    runs = "1 run" if len(facts) == 1 else f"{len(facts)} runs"
    known = [one for one in facts if one is not None]
    if not known:
        return f"right: {runs}; images and steps are known when the data are"
    steps, images = ({getattr(one, name) for one in known} for name in ("steps", "images"))
    text = f"right: {runs} of {_range(steps)} steps on {_range(images)} training images"
    return text if len(known) == len(facts) else f"{text} (unknown yet for {len(facts) - len(known)})"


def _range(values: set[int]) -> str:
    return str(min(values)) if len(values) == 1 else f"{min(values)} to {max(values)}"


def _json(cells: Sequence[Cell], facts: Sequence[RunFacts | None], problems: Sequence[Problem]) -> str:
    runs = [
        {"name": cell.name, "digest": cell.digest, "images": one and one.images, "steps": one and one.steps}
        for cell, one in zip(cells, facts, strict=True)
    ]
    return json.dumps({"problems": [problem.as_json() for problem in problems], "cells": runs}, indent=1)
