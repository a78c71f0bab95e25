"""Every method on every backbone, for a few steps; as a script, the table of the README.

python tests/methods/matrix.py [--steps 20] [--large 3]
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from attrs import evolve, frozen

sys.path.insert(0, str(Path(__file__).parents[2]))

from deeplense_registry import ImageShape, RunFacts, build, hookimpl
from deeplense_registry.components import find, load_options
from deeplense_registry.engine.session import backbone_facts
from deeplense_registry.spec import Instance, structure_options
from tests.methods.rehearsal import CASES, SMALL, make, published, trainer_of

VARIANTS: dict[str, dict[str, Any]] = {
    "levit": {"variant": "128s-s8"},
    "cvt": {"variant": "tiny"},
    "timm": {"model": "resnet10t"},
}
"""Small ones; of a backbone that is not here, its defaults."""
WIDER = {"swav": SMALL["swav"] | {"queue": 8}, "moby": SMALL["moby"] | {"queue": 8}}
"""Queues that a batch of 4 divides."""
LARGE = 150
"""The published size of the simulations, in pixels."""


@frozen
class Outcome:
    """What came of a pair.

    Attributes:
        losses: Of each step.
        moved: Whether the parameters of the encoder did.
        seconds: It took.
    """

    losses: tuple[float, ...]
    moved: bool
    seconds: float

    @property
    def fine(self) -> bool:
        """Whether every loss is a number and the encoder moved."""
        return self.moved and all(map(math.isfinite, self.losses))


class Losses:
    """Collects the loss of each step."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    @hookimpl
    def scalars(self, values: dict[str, float]) -> None:
        self.seen.append(values["loss"])


def rehearse(method: str, backbone: str, side: int, steps: int, batch: int = 4) -> Outcome:
    """Train a method on a backbone for some steps, in micro-batches of 2 images."""
    shape, options = ImageShape(1, side, side), VARIANTS.get(backbone, {})
    row = find("backbone", backbone)
    instance = Instance(name=backbone, use=backbone, row=row, options=structure_options(load_options(row), options))
    facts = RunFacts(
        shape=shape,
        images=batch,
        batch_size=batch,
        micro_batch=2,
        epochs=steps,  # of one step: the last layers that are frozen in the first thaw
        steps=steps,
        backbone=backbone_facts(instance, shape),
    )
    case = CASES[method]
    case = evolve(case, options=case.options | WIDER.get(method, {}))
    start, losses = time.perf_counter(), Losses()
    built = make(case, facts, partial(build, "backbone", backbone, options, shape=shape))
    before = [parameter.clone() for parameter in built.encoder().parameters()]
    trainer_of(built, facts, observer=losses).run(0)
    moved = any(not torch.equal(a, b) for a, b in zip(before, built.encoder().parameters(), strict=True))
    return Outcome(tuple(losses.seen), moved, time.perf_counter() - start)


def table(steps: int, large: int) -> str:
    """Methods down, backbones across; in a cell the losses of the first and the last step at 64 pixels."""
    backbones = published("backbone")
    lines = [f"| | {' | '.join(backbones)} |", f"|---|{'---|' * len(backbones)}"]
    for method in published("method"):
        cells = [cell(method, backbone, steps, large) for backbone in backbones]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(method: str, backbone: str, steps: int, large: int) -> str:
    """The pair in a few characters."""
    small, big = rehearse(method, backbone, 64, steps), rehearse(method, backbone, LARGE, large)
    return f"{small.losses[0]:.2f} to {small.losses[-1]:.2f}" if small.fine and big.fine else "**fails**"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20, help="at 64 pixels")
    parser.add_argument("--large", type=int, default=3, help=f"steps at {LARGE} pixels")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(table(arguments.steps, arguments.large))


if __name__ == "__main__":
    main()
