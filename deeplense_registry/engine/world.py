"""The processes of a run: one, or several that torch.distributed connects."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ..interfaces import World


class ProcessWorld(World):
    """What the engine needs of a world beyond what a method sees."""

    @abstractmethod
    def gather(self, rows: Tensor) -> Tensor:
        """The rows of every process in the order of ranks, without gradient; every process has as many."""

    @abstractmethod
    def any(self, flag: bool) -> bool:
        """Whether any process says so."""

    @abstractmethod
    def tree_sum(self, value: Tensor) -> None:
        """Sum over the processes in place, as a balanced binary tree over ranks: the same bits on each."""


class SingleWorld(ProcessWorld):
    """A world of one process: every operation is the identity."""

    rank = 0
    size = 1

    def join(self, rows: Tensor) -> Tensor:
        """``rows`` as they are."""
        return rows

    def sum(self, value: Tensor) -> Tensor:
        """``value`` as it is."""
        return value

    def gather(self, rows: Tensor) -> Tensor:
        """``rows`` as they are."""
        return rows

    def any(self, flag: bool) -> bool:
        """``flag`` as it is."""
        return flag

    def tree_sum(self, value: Tensor) -> None:
        """Nothing to add."""


class DistributedWorld(ProcessWorld):
    """The processes of torch's default process group (gloo or NCCL), which must exist."""

    def __init__(self) -> None:
        """Take rank and size from the group."""
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self._device = "cuda" if dist.get_backend() == "nccl" else "cpu"

    def join(self, rows: Tensor) -> Tensor:
        """All-gather; backward sums over processes and takes the own slice."""
        joined: Tensor = _Join.apply(rows, self)
        return joined

    def sum(self, value: Tensor) -> Tensor:
        """All-reduce; backward sums over processes."""
        total: Tensor = _Sum.apply(value)
        return total

    def gather(self, rows: Tensor) -> Tensor:
        """All-gather without gradient."""
        rows = rows.detach().contiguous()
        parts = [torch.empty_like(rows) for _ in range(self.size)]
        dist.all_gather(parts, rows)
        return torch.cat(parts)

    def any(self, flag: bool) -> bool:
        """All-reduce a flag."""
        value = torch.tensor(float(flag), device=self._device)
        dist.all_reduce(value, op=dist.ReduceOp.MAX)
        return bool(value)

    def tree_sum(self, value: Tensor) -> None:
        """Recursive doubling: at each level two partners exchange and add, and a + b has the bits of b + a."""
        other = torch.empty_like(value)
        distance = 1
        while distance < self.size:
            partner = self.rank ^ distance
            exchange = [dist.P2POp(dist.isend, value, partner), dist.P2POp(dist.irecv, other, partner)]
            for work in dist.batch_isend_irecv(exchange):
                work.wait()
            value += other
            distance *= 2


class _Join(torch.autograd.Function):
    """torch's own differentiable all_gather has a wrong gradient (pytorch#120386)."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, world: DistributedWorld) -> Tensor:
        ctx.own = world.own(len(rows))
        return world.gather(rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total[ctx.own], None


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.detach().contiguous().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total
