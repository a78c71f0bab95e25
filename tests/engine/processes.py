"""A few steps of a toy method as one of several processes; prints what came of it. Run by torchrun or alone.

python processes.py OUT MICRO_BATCH reproducible|averaged float64|float32 STEPS
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).parents[1]))

from toys import ToyContrast, cut, toy_facts, toy_method, toy_views

from deeplense_registry.engine.gradient import Averaged
from deeplense_registry.engine.precision import Precision
from deeplense_registry.engine.reproducible import Reproducible
from deeplense_registry.engine.worker import leave
from deeplense_registry.engine.world import DistributedWorld, ProcessWorld, SingleWorld
from deeplense_registry.interfaces import Progress

BATCH = 32


def main(out: str, micro_batch: str, mode: str, dtype: str, steps: str) -> None:
    """Train with plain SGD on the own part of each batch; every rank writes its state."""
    torch.set_num_threads(1)
    world: ProcessWorld = SingleWorld()
    if "RANK" in os.environ:
        dist.init_process_group("gloo")
        world = DistributedWorld()
    kind = getattr(torch, dtype)
    method: ToyContrast = toy_method(toy_facts(images=BATCH), norm=True, drop_path=0.1).to(kind).train()
    gradient = (Reproducible if mode == "reproducible" else Averaged)(method, world, Precision("cpu", "fp32"), seed=5)
    record: dict[str, torch.Tensor] = {}
    for step in range(int(steps)):
        views = cut(toy_views(BATCH, seed=step, dtype=kind), int(micro_batch))
        own = len(views) // world.size
        progress = Progress(step=step, steps=int(steps), steps_per_epoch=int(steps))
        loss, outputs = gradient.backward(views[world.rank * own : (world.rank + 1) * own], progress)
        method.remember(outputs, gradient.loss_world, progress)
        record[f"loss{step}"] = world.mean(loss.total.detach()).clone()
        for name, parameter in method.named_parameters():
            record[f"gradient{step}.{name}"] = parameter.grad.clone()
            parameter.data -= 0.1 * parameter.grad
            parameter.grad = None
    record |= {f"state.{name}": value for name, value in method.state_dict().items() if name != "bank"}
    record["any"] = torch.tensor([world.any(world.rank == world.size - 1), world.any(False)])
    torch.save(record, f"{out}.{world.rank}")
    if "RANK" in os.environ:
        dist.destroy_process_group()
        leave(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
