"""The processes of a run, as a method's loss sees them."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor


class World(ABC):
    """Where rows of one process meet rows of the others. Identities on one process.

    A loss returns the mean over its own process's rows, and the world's loss is the mean of those means, so nothing is
    multiplied or divided by the number of processes in a method.

    Attributes:
        rank: This process, from 0.
        size: The number of processes.
    """

    rank: int
    size: int

    @abstractmethod
    def join(self, rows: Tensor) -> Tensor:
        """The rows (B, ...) of every process, (size * B, ...), in the order of ranks; every process has the same B.

        Differentiable: the gradient of a row is summed over the processes that used it.
        """

    @abstractmethod
    def sum(self, value: Tensor) -> Tensor:
        """The sum of ``value`` over the processes, elementwise. Differentiable in the same sense."""

    def mean(self, value: Tensor) -> Tensor:
        """The mean of ``value`` over the processes, elementwise."""
        return self.sum(value) / self.size

    def own(self, count: int) -> slice:
        """Where this process's ``count`` rows lie in what :meth:`join` returns."""
        return slice(self.rank * count, (self.rank + 1) * count)
