"""The losses of several processes, played by threads through which gradients pass."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch

from deeplense_registry import World


class Peer(World):
    """One of several processes, each a thread: what crosses keeps its graph, so gradients cross back."""

    def __init__(self, rank, slots, barrier):
        self.rank, self.size, self.slots, self.barrier = rank, len(slots), slots, barrier

    def exchange(self, value):
        self.slots[self.rank] = value
        self.barrier.wait(timeout=20)
        values = list(self.slots)
        self.barrier.wait(timeout=20)
        return values

    def join(self, rows):
        return torch.cat(self.exchange(rows))

    def sum(self, value):
        return torch.stack(self.exchange(value)).sum(0)


@pytest.fixture
def processes():
    """``processes(method, outputs, count, progress)``: the losses of so many processes that share the rows."""

    def losses(method, outputs, count, progress):
        size = len(next(iter(outputs.values()))) // count
        parts = [
            {name: value[rank * size : (rank + 1) * size] for name, value in outputs.items()} for rank in range(count)
        ]
        slots, barrier = [None] * count, Barrier(count)
        with ThreadPoolExecutor(count) as pool:
            run = [
                pool.submit(method.loss, part, Peer(rank, slots, barrier), progress) for rank, part in enumerate(parts)
            ]
            return [one.result() for one in run]

    return losses
