"""Tasks of the benchmarks of backbones: training steps of a network, and forward and backward of a function."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from benchmarks.timing import Rates, Task, measure
from deeplense_registry import Features, ImageShape

SHAPE = ImageShape(1, 64, 64)


def turns(tasks: Mapping[str, Task], rounds: int) -> dict[str, Rates]:
    """Rates by the clock on the wall: the libraries compared keep both cores busy in their own ways."""
    return measure(tasks, rounds, time.perf_counter)


def training_step(model: nn.Module, images: Tensor, *, bf16: bool = False) -> Task:
    """Forward and backward of a backbone, of timm's or of transformers'."""

    def features() -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            out = model(images)
        if isinstance(out, Tensor):
            return out
        pooled: Tensor = out.pooled if isinstance(out, Features) else out.cls_token_value
        return pooled

    def task() -> int:
        model.zero_grad()
        return both_ways(features, len(images))()

    return task


def both_ways(function: Callable[[], Tensor], count: int = 1) -> Task:
    """Forward and backward of a function of ``count`` images."""

    def task() -> int:
        torch.autograd.backward(function().float().square().mean())
        return count

    return task
