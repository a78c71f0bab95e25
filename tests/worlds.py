"""Worlds for tests: one process alone, and several that are threads of this one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeVar

import torch
from torch import Tensor

from deeplense_registry import World

Result = TypeVar("Result")
PATIENCE = 60.0  # seconds until a thread that waits for the others gives up


class ThreadWorld(World):
    """One of several threads that act as processes; gradients meet as those of a real world do."""

    def __init__(self, rank: int, slots: list[Any], barrier: Barrier) -> None:
        self.rank, self.size = rank, len(slots)
        self._slots, self._barrier = slots, barrier

    def exchange(self, value: Tensor) -> list[Tensor]:
        self._slots[self.rank] = value.detach().clone()
        self._barrier.wait(PATIENCE)
        values = list(self._slots)
        self._barrier.wait(PATIENCE)  # nobody writes before everybody has read
        return values

    def join(self, rows: Tensor) -> Tensor:
        return _Join.apply(rows, self)

    def sum(self, value: Tensor) -> Tensor:
        return _Sum.apply(value, self)


class _Join(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rows, world):
        ctx.world, ctx.count = world, len(rows)
        return torch.cat(world.exchange(rows))

    @staticmethod
    def backward(ctx, gradient):
        return torch.stack(ctx.world.exchange(gradient)).sum(0)[ctx.world.own(ctx.count)], None


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value, world):
        ctx.world = world
        return torch.stack(world.exchange(value)).sum(0)

    @staticmethod
    def backward(ctx, gradient):
        return torch.stack(ctx.world.exchange(gradient)).sum(0), None


def together(size: int, work: Callable[[World], Result]) -> list[Result]:
    """What ``work(world)`` returns on each of ``size`` processes, by rank."""
    slots: list[Any] = [None] * size
    barrier = Barrier(size)

    def act(rank: int) -> Result:
        try:
            return work(ThreadWorld(rank, slots, barrier))
        except BaseException:
            barrier.abort()  # the others must not wait for this one
            raise

    with ThreadPoolExecutor(size) as threads:
        return list(threads.map(act, range(size)))


def alone() -> World:
    return ThreadWorld(0, [None], Barrier(1))
