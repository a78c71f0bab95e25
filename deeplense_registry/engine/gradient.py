"""The gradient of a whole batch's loss, taken in micro-batches.

Outputs of all micro-batches are computed first, then the loss of the whole batch and its gradient with respect to the
outputs; each micro-batch is then run again and that gradient sent back through it (gradient caching, Gao et al. 2021,
arXiv:2101.06983). Memory is that of one micro-batch, and the gradient is exact: it is not the mean of the losses of
small batches, which for a contrastive loss is another function.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..components import derive_seed
from ..interfaces import Loss, Method, Outputs, Progress, Views, World
from .precision import Precision


class WholeBatch:
    """Computes losses and gradients of steps; holds no state of its own."""

    def __init__(self, method: Method, world: World, precision: Precision, seed: int) -> None:
        """Take the parts of a run; ``seed`` is the run's."""
        self.method = method
        self.world = world
        self.precision = precision
        self.seed = seed

    def backward(self, micro_batches: Sequence[Views], progress: Progress) -> tuple[Loss, Outputs]:
        """Leave the gradient of the step's loss in the parameters.

        Args:
            micro_batches: This process's part of the step's batch.
            progress: Where the run is.

        Returns:
            The loss, and the detached outputs of the whole part, for :meth:`Method.remember`.
        """
        targets = join([self._targets(views, number, progress) for number, views in enumerate(micro_batches)])
        *earlier, last = range(len(micro_batches))
        with torch.no_grad():
            outputs = [self._forward(micro_batches[number], number, progress) for number in earlier]
        kept = self._forward(micro_batches[last], last, progress)  # the last keeps its graph: one forward less
        joined = join([*outputs, detached(kept)])
        leaves = {name: value.requires_grad_(kept[name].requires_grad) for name, value in joined.items()}
        loss = self.method.loss(merged(leaves, targets), self.world, progress)
        loss.total.backward()  # type: ignore[no-untyped-call]  # torch annotates it only in part
        self._send_back(micro_batches, kept, leaves, progress)
        return loss, merged(detached(leaves), targets)

    def _send_back(self, micro_batches: Sequence[Views], kept: Outputs, leaves: Outputs, progress: Progress) -> None:
        """Send the gradients of the joined outputs through each micro-batch, the kept graph first."""
        size = len(micro_batches[0])
        last = len(micro_batches) - 1
        send(kept, leaves, slice(last * size, None))
        for number in range(last):
            with spared_statistics(self.method):
                outputs = self._forward(micro_batches[number], number, progress)
            send(outputs, leaves, slice(number * size, (number + 1) * size))

    def _forward(self, views: Views, number: int, progress: Progress) -> Outputs:
        self._seed("forward", number, progress)
        with self.precision.autocast():
            return in_full(self.method(views, progress))

    @torch.no_grad()
    def _targets(self, views: Views, number: int, progress: Progress) -> Outputs:
        self._seed("targets", number, progress)
        with self.precision.autocast():
            return in_full(self.method.targets(views, progress))

    def _seed(self, purpose: str, number: int, progress: Progress) -> None:
        """Dropout takes no generator: seed torch's own, by step and by the micro-batch's place in the whole batch."""
        torch.manual_seed(derive_seed(self.seed, purpose, progress.step, self.world.rank, number))


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


def in_full(outputs: Outputs) -> Outputs:
    """Half-precision outputs in float32: losses compare in full precision. Other types stay as they are."""
    half = (torch.bfloat16, torch.float16)
    return {name: value.float() if value.dtype in half else value for name, value in outputs.items()}


def send(outputs: Outputs, leaves: Outputs, rows: slice) -> None:
    """Backpropagate the rows of the leaves' gradients through one micro-batch's graph."""
    names = [name for name, value in outputs.items() if value.requires_grad and leaves[name].grad is not None]
    if names:
        torch.autograd.backward([outputs[name] for name in names], [_rows(leaves[name].grad, rows) for name in names])


def _rows(gradient: Tensor | None, rows: slice) -> Tensor:
    assert gradient is not None  # send() asked
    return gradient[rows]


@contextmanager
def spared_statistics(module: nn.Module) -> Iterator[None]:
    """Leave batch norm's running statistics as they are: a second run of a micro-batch must not count twice.

    The buffers themselves are put aside and copies take their place: writing back would change tensors that a graph
    still refers to.
    """
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    kept = [(norm, dict(norm.named_buffers(recurse=False))) for norm in norms]
    for norm, buffers in kept:
        for name, buffer in buffers.items():
            setattr(norm, name, buffer.clone())
    try:
        yield
    finally:
        for norm, buffers in kept:
            for name, buffer in buffers.items():
                setattr(norm, name, buffer)
