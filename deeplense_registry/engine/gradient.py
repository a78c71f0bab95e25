"""The gradient of a whole batch's loss, taken in micro-batches and on any number of processes.

Outputs of all micro-batches are computed first, then the loss of the whole batch and its gradient with respect to the
outputs; each micro-batch is then run again and that gradient sent back through it (gradient caching, Gao et al. 2021,
arXiv:2101.06983). Memory is that of one micro-batch, and the gradient is exact: it is not the mean of the losses of
small batches, which for a contrastive loss is another function.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from ..components import derive_seed
from ..interfaces import Loss, Method, Outputs, Progress, Views, World
from .precision import Precision
from .statistics import RunningStatistics
from .world import ProcessWorld


class WholeBatch(ABC):
    """Losses and gradients of steps.

    Attributes:
        loss_world: The world in which the loss is evaluated, and :meth:`Method.remember` after it.
        own: Micro-batches of this process in a step.
    """

    loss_world: World
    own: int = 1

    def __init__(self, method: Method, world: ProcessWorld, precision: Precision, seed: int) -> None:
        """Take the parts of a run; ``seed`` is the run's."""
        self.method, self.world, self.precision, self.seed = method, world, precision, seed
        self.statistics = RunningStatistics(method)

    @abstractmethod
    def backward(self, micro_batches: Sequence[Views], progress: Progress) -> tuple[Loss, Outputs]:
        """Leave the gradient of the step's loss in the parameters, the same on every process.

        Args:
            micro_batches: This process's part of the step's batch.
            progress: Where the run is.

        Returns:
            The loss, and the detached outputs that it saw.
        """

    def targets(self, micro_batches: Sequence[Views], progress: Progress) -> Outputs:
        """The teacher's side of every micro-batch, joined."""
        with torch.no_grad(), self.statistics.collected():
            parts = [self._targets(views, number, progress) for number, views in enumerate(micro_batches)]
        return join(parts)

    def forward(self, views: Views, number: int, progress: Progress) -> Outputs:
        """Outputs of micro-batch ``number`` of this process."""
        self._seed("forward", number, progress)
        with self.precision.autocast():
            return in_full(self.method(views, progress))

    def _targets(self, views: Views, number: int, progress: Progress) -> Outputs:
        self._seed("targets", number, progress)
        with self.precision.autocast():
            return in_full(self.method.targets(views, progress))

    def _seed(self, purpose: str, number: int, progress: Progress) -> None:
        """Dropout takes no generator: seed torch's own, by step and by the micro-batch's place in the whole batch."""
        torch.manual_seed(derive_seed(self.seed, purpose, progress.step, self.first + number))

    @property
    def first(self) -> int:
        """The place of this process's first micro-batch in the whole batch."""
        return self.world.rank * self.own


class Averaged(WholeBatch):
    """Each process evaluates the loss of its own rows; gradients are averaged over processes."""

    def __init__(self, method: Method, world: ProcessWorld, precision: Precision, seed: int) -> None:
        """See :class:`WholeBatch`."""
        super().__init__(method, world, precision, seed)
        self.loss_world = world

    def backward(self, micro_batches: Sequence[Views], progress: Progress) -> tuple[Loss, Outputs]:
        """See :meth:`WholeBatch.backward`."""
        self.own = len(micro_batches)
        targets = self.targets(micro_batches, progress)
        *earlier, last = enumerate(micro_batches)
        with self.statistics.collected():
            with torch.no_grad():
                outputs = [self.forward(views, number, progress) for number, views in earlier]
            kept = self.forward(last[1], last[0], progress)  # the last keeps its graph: one forward less
        leaves = as_leaves(join([*outputs, detached(kept)]), kept)
        loss = self.method.loss(merged(leaves, targets), self.loss_world, progress)
        loss.total.backward()  # type: ignore[no-untyped-call]  # torch annotates it only in part
        size = len(micro_batches[0])
        send(kept, leaves, slice(last[0] * size, None))
        for number, views in earlier:
            with self.statistics.collected(count=False):
                again = self.forward(views, number, progress)
            send(again, leaves, slice(number * size, (number + 1) * size))
        self._average()
        self.statistics.apply(self.world)
        return loss, merged(detached(leaves), targets)

    @torch.no_grad()
    def _average(self) -> None:
        """One all-reduce of every gradient; on one process there is nothing to do."""
        if self.world.size == 1:
            return
        gradients = [p.grad for p in self.method.parameters() if p.grad is not None]
        mean = self.world.mean(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, part in zip(gradients, torch.split(mean, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))


def join(parts: Sequence[Outputs]) -> Outputs:
    """Outputs of micro-batches, joined along the sample dimension."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def merged(outputs: Outputs, targets: Outputs) -> Outputs:
    """Both, for the loss.

    Raises:
        ValueError: A name is in both.
    """
    if both := outputs.keys() & targets.keys():
        raise ValueError(f"forward and targets both return {sorted(both)}; give them different names")
    return {**outputs, **targets}


def detached(outputs: Outputs) -> Outputs:
    """The same values without their graph."""
    return {name: value.detach() for name, value in outputs.items()}


def as_leaves(outputs: Outputs, like: Outputs) -> Outputs:
    """Values without a graph, as leaves that collect a gradient where those of ``like`` have one."""
    return {name: value.requires_grad_(like[name].requires_grad) for name, value in outputs.items()}


def in_full(outputs: Outputs) -> Outputs:
    """Half-precision outputs in float32: losses compare in full precision. Other types stay as they are."""
    half = (torch.bfloat16, torch.float16)
    return {name: value.float() if value.dtype in half else value for name, value in outputs.items()}


def send(outputs: Outputs, leaves: Outputs, rows: slice) -> None:
    """Backpropagate the rows of the leaves' gradients through one micro-batch's graph."""
    pairs = [(value, leaves[name].grad) for name, value in outputs.items() if value.requires_grad]
    tensors, gradients = [], []
    for value, gradient in pairs:
        if gradient is not None:  # the loss may leave an output unused
            tensors.append(value)
            gradients.append(gradient[rows])
    if tensors:
        torch.autograd.backward(tensors, gradients)


def flat_gradient(parameters: Sequence[Tensor]) -> Tensor:
    """Every gradient in one vector, zeros where there is none."""
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])
