"""The same bits on any number of processes: ``train.reproducible = true``.

Every process evaluates the loss of the whole batch on gathered outputs, and the gradients of micro-batches are summed
as one balanced binary tree over the step's micro-batches: first those of a process, then across processes. The tree is
the same however the micro-batches are shared out, as long as their number and that of processes are powers of two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from ..interfaces import Loss, Method, Outputs, Progress, Views
from .gradient import WholeBatch, detached, flat_gradient, join, merged, send
from .precision import Precision
from .world import ProcessWorld, SingleWorld


class Reproducible(WholeBatch):
    """Bits that do not depend on the number of processes."""

    def __init__(self, method: Method, world: ProcessWorld, precision: Precision, seed: int) -> None:
        """See :class:`WholeBatch`."""
        super().__init__(method, world, precision, seed)
        self.loss_world = SingleWorld()
        self._parameters = [parameter for parameter in method.parameters() if parameter.requires_grad]

    def backward(self, micro_batches: Sequence[Views], progress: Progress) -> tuple[Loss, Outputs]:
        """See :meth:`WholeBatch.backward`. Every micro-batch is run twice, so that none is a special case."""
        self.own = len(micro_batches)
        targets = self._gathered(self.targets(micro_batches, progress))
        with torch.no_grad(), self.statistics.collected():
            parts = [self.forward(views, number, progress) for number, views in enumerate(micro_batches)]
        whole = self._gathered(join(parts))
        leaves = {name: value.requires_grad_(value.is_floating_point()) for name, value in whole.items()}
        loss = self.method.loss(merged(leaves, targets), self.loss_world, progress)
        loss.total.backward()  # type: ignore[no-untyped-call]  # torch annotates it only in part
        direct = flat_gradient(self._parameters)  # of parameters that the loss uses: the same on every process
        total = tree_sum(self._gradients(micro_batches, leaves, progress))
        self.world.tree_sum(total)
        self._assign(direct + total)
        self.statistics.apply(self.world)
        return loss, merged(detached(leaves), targets)

    def _gathered(self, outputs: Outputs) -> Outputs:
        return {name: self.world.gather(value) for name, value in outputs.items()}

    def _gradients(self, micro_batches: Sequence[Views], leaves: Outputs, progress: Progress) -> Iterable[Tensor]:
        """The gradient of each micro-batch alone, in order."""
        size = len(micro_batches[0])
        self._reached = [parameter.grad is not None for parameter in self._parameters]
        for number, views in enumerate(micro_batches):
            for parameter in self._parameters:
                parameter.grad = None
            with self.statistics.collected(count=False):
                outputs = self.forward(views, number, progress)
            begin = (self.first + number) * size
            send(outputs, leaves, slice(begin, begin + size))
            self._reached = [
                seen or parameter.grad is not None
                for seen, parameter in zip(self._reached, self._parameters, strict=True)
            ]
            yield flat_gradient(self._parameters)

    def _assign(self, gradient: Tensor) -> None:
        """Give each parameter its part; one that no gradient reached keeps none, and no weight decay."""
        parts = torch.split(gradient, [parameter.numel() for parameter in self._parameters])
        for parameter, part, reached in zip(self._parameters, parts, self._reached, strict=True):
            parameter.grad = part.view_as(parameter).clone() if reached else None


def tree_sum(vectors: Iterable[Tensor]) -> Tensor:
    """Sum vectors pairwise, pairs pairwise, and so on, holding about log2 of their number at a time."""
    pending: list[tuple[int, Tensor]] = []  # (level, sum), levels falling
    for vector in vectors:
        level, total = 0, vector
        while pending and pending[-1][0] == level:
            total = pending.pop()[1] + total
            level += 1
        pending.append((level, total))
    total = pending.pop()[1]
    while pending:
        total = pending.pop()[1] + total
    return total
