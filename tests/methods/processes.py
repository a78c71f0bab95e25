"""Every method as one of several processes; writes what came of it. Run by torchrun, or alone.

python processes.py FOLDER

Rank 0 writes FOLDER/MODE-CASE.pt: each step's loss and gradients, and the state at the end; with it digests of all that
from each rank, since every one must have the same bits.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.distributed as dist
from attrs import frozen
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2]))

from deeplense_registry.engine.gradient import WholeBatch
from deeplense_registry.engine.worker import leave
from deeplense_registry.engine.world import DistributedWorld, ProcessWorld, SingleWorld
from deeplense_registry.interfaces import Backbone, Loss, Outputs, Progress, Views
from tests.methods.rehearsal import CASES, facts_of, levit, make, trainer_of, two_grids

Record = dict[str, Tensor]


@frozen
class Mode:
    """How the cases of a mode are trained; "wrong" in a world whose gathered rows have no gradient."""

    steps: int
    dtype: torch.dtype
    cases: tuple[str, ...] = tuple(CASES)
    backbone: Callable[..., Backbone] = two_grids
    reproducible: bool = False
    wrong: bool = False


MODES = {
    "averaged": Mode(3, torch.float64),  # SwAV uses its queue in the third
    "reproducible": Mode(5, torch.float32, reproducible=True),
    "levit": Mode(2, torch.float64, ("swav",), levit),  # several resolutions, a queue, parameters in the loss, sums
    "wrong": Mode(1, torch.float64, ("simclr",), wrong=True),
}


class WrongWorld(DistributedWorld):
    """Joins as a plain all-gather does: the right loss, and the wrong gradient."""

    def join(self, rows: Tensor) -> Tensor:
        joined = self.gather(rows)
        joined[self.own(len(rows))] = rows
        return joined


class Recorded(WholeBatch):
    """Another's gradients, written down."""

    def __init__(self, other: WholeBatch, record: Record) -> None:
        self.other, self.record, self.loss_world = other, record, other.loss_world

    def backward(self, micro_batches: Sequence[Views], progress: Progress) -> tuple[Loss, Outputs]:
        loss, outputs = self.other.backward(micro_batches, progress)
        self.record[f"loss.{progress.step}"] = self.other.world.mean(loss.total.detach()).clone()
        for name, parameter in self.other.method.named_parameters():
            if parameter.grad is not None:
                self.record[f"gradient.{progress.step}.{name}"] = parameter.grad.clone()
        return loss, outputs


def rehearse(mode: Mode, name: str, world: ProcessWorld) -> Record:
    """Train one method and tell everything that must not depend on the number of processes."""
    record = Record()
    facts = facts_of(steps_per_epoch=1, epochs=mode.steps)
    method = make(CASES[name], facts, mode.backbone).to(mode.dtype)
    trainer = trainer_of(method, facts, world=world, reproducible=mode.reproducible)
    trainer.gradient = Recorded(trainer.gradient, record)  # type: ignore[assignment]
    trainer.run(0)
    return record | {f"state.{name}": value for name, value in method.state_dict().items()}


def digest(record: Record) -> Tensor:
    """(1, 32) uint8, sha256 of every name and bit."""
    sha = hashlib.sha256()
    for name, value in sorted(record.items()):
        sha.update(name.encode() + value.numpy().tobytes())
    return torch.frombuffer(bytearray(sha.digest()), dtype=torch.uint8)[None]


def main(folder: str) -> None:
    """Every mode and case."""
    torch.set_num_threads(1)
    world: ProcessWorld = SingleWorld()
    if "RANK" in os.environ:
        dist.init_process_group("gloo")
        world = DistributedWorld()
    for title, mode in MODES.items():
        for name in mode.cases:
            record = rehearse(mode, name, WrongWorld() if mode.wrong and world.size > 1 else world)
            digests = world.gather(digest(record))  # (W, 32)
            if world.rank == 0:
                torch.save({"record": record, "digests": digests}, Path(folder) / f"{title}-{name}.pt")
    if "RANK" in os.environ:
        dist.destroy_process_group()
        leave(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
