"""Queues of embeddings of earlier steps (He et al. 2019, MoCo, arXiv 1911.05722, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Queue(nn.Module):
    """The newest rows of each of several views, first in, first out; a buffer, so a checkpoint holds it.

    A ring: new rows overwrite the oldest, and all views share one pointer. Give it what ``World.join`` returns, and it
    is the same on every process.

    Attributes:
        rows: (V, length, D), zeros at first.
        pointer: Scalar int64, where the next row goes: that of the oldest once the queue is full.
        filled: Scalar int64, the number of rows that were pushed, up to ``length``.
    """

    rows: Tensor
    pointer: Tensor
    filled: Tensor

    def __init__(self, views: int, length: int, width: int) -> None:
        """Make it empty; one of length 0 stays so, and counts as full."""
        super().__init__()
        self.length = length
        self.register_buffer("rows", torch.zeros(views, length, width))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.int64))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, rows: Tensor) -> None:
        """Let ``rows`` (B, V, D) in, in their order, and as many of the oldest out.

        Raises:
            ValueError: B is more than ``length``: part of it would be lost at once.
        """
        if not self.length:
            return
        if len(rows) > self.length:
            raise ValueError(f"{len(rows)} rows do not fit into a queue of {self.length}")
        places = (self.pointer + torch.arange(len(rows), device=self.rows.device)) % self.length
        self.rows.index_copy_(1, places, rows.transpose(0, 1).to(self.rows))
        self.pointer.copy_((self.pointer + len(rows)) % self.length)
        self.filled.copy_((self.filled + len(rows)).clamp(max=self.length))

    def full(self) -> bool:
        """Whether no row is left of those it began with."""
        return bool(self.filled == self.length)

    def fill(self) -> Tensor:
        """The fraction of rows that were pushed, scalar in [0, 1]."""
        return self.filled / max(self.length, 1)
