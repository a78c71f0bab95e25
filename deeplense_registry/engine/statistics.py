"""Batch norm's running statistics, applied once a step in the order of micro-batches.

During training's forward passes every batch norm gets scratch buffers and momentum 1, so that what it leaves there is
the statistics of that pass. They are collected, and after the step applied to the true buffers in one order, whichever
process and however many passes they come from; a micro-batch that is run again is not counted again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .world import ProcessWorld

BatchNorm = nn.modules.batchnorm._BatchNorm
NAMES = ("running_mean", "running_var", "num_batches_tracked")


class RunningStatistics:
    """The running statistics of every batch norm in a method, teachers included."""

    def __init__(self, module: nn.Module) -> None:
        """Find the batch norms that keep running statistics."""
        norms = (part for part in module.modules() if isinstance(part, BatchNorm))
        self._norms = [norm for norm in norms if norm.running_mean is not None]
        self._seen: dict[int, list[Tensor]] = {}  # norm to (2, features) of each pass, in order

    @contextmanager
    def collected(self, *, count: bool = True) -> Iterator[None]:
        """Run forward passes inside: running buffers stay, and what they would have become part of is collected.

        Args:
            count: False for a pass that repeats an earlier one.
        """
        kept = [(norm, norm.momentum, [getattr(norm, name) for name in NAMES]) for norm in self._norms]
        for norm in self._norms:
            norm.momentum = 1.0
            for name in NAMES:
                setattr(norm, name, getattr(norm, name).clone())
        handles = [norm.register_forward_hook(self._collect) for norm in self._norms] if count else []
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            for norm, momentum, buffers in kept:
                norm.momentum = momentum
                for name, buffer in zip(NAMES, buffers, strict=True):
                    setattr(norm, name, buffer)

    def _collect(self, norm: nn.Module, _: object, __: object) -> None:
        if norm.training:
            mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
            self._seen.setdefault(id(norm), []).append(torch.stack((mean, variance)).detach())

    @torch.no_grad()
    def apply(self, world: ProcessWorld) -> None:
        """Move the running statistics by all that was collected, by rank and then in order of collection."""
        passes = [(norm, torch.stack(self._seen[id(norm)])) for norm in self._norms if id(norm) in self._seen]
        self._seen = {}
        for norm, own in passes:
            for statistics in world.gather(own).unbind(0):
                _advance(norm, statistics)


def _advance(norm: BatchNorm, statistics: Tensor) -> None:
    assert norm.running_mean is not None  # only such norms are here
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked += 1
    momentum = 1.0 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.mul_(1.0 - momentum).add_(statistics[0], alpha=momentum)
    norm.running_var.mul_(1.0 - momentum).add_(statistics[1], alpha=momentum)
