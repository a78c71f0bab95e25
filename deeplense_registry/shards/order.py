"""The order of samples: a pure function of counts, seed and epoch, so that one integer resumes it anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..components import UserError, derive_seed

Index = NDArray[np.int64]


def epoch_order(counts: Sequence[int], seed: int, epoch: int, window: int | None = None) -> Index:
    """A permutation of all samples, (N,): shards permuted, then samples inside windows of consecutive shards.

    Args:
        counts: Samples in each shard.
        seed: The run's.
        epoch: From 0.
        window: How many shards are mixed; ``None`` mixes all, a uniform permutation. A few spare a cold disk, which
            reads whole shards 20 times faster than random rows, at the price of some order.

    Raises:
        ValueError: ``window`` is below 1.
    """
    if window is not None and window < 1:
        raise ValueError(f"a window is at least one shard, not {window}")
    rng = np.random.default_rng(derive_seed(seed, "order", epoch))
    starts = np.cumsum([0, *counts], dtype=np.int64)
    shards = rng.permutation(len(counts))
    step = max(1, len(counts)) if window is None else window
    mixed = [_mix(shards[at : at + step], starts, rng) for at in range(0, len(counts), step)]
    return np.concatenate([*mixed, np.empty(0, np.int64)])


def weighted_order(weights: NDArray[np.floating], count: int, seed: int, epoch: int) -> Index:
    """``count`` samples drawn with replacement, each with probability proportional to its weight, (count,).

    Raises:
        UserError: A weight is negative or not finite, or all are zero.
    """
    exact = np.asarray(weights, np.float64)
    if not np.isfinite(exact).all() or (exact < 0).any() or not exact.any():
        raise UserError("sampling weights must be finite, not negative, and not all zero; mend the method's weights")
    rng = np.random.default_rng(derive_seed(seed, "order", epoch))
    return rng.choice(len(exact), count, p=exact / exact.sum())


def batches(order: Index, batch_size: int, start_step: int = 0) -> Iterator[Index]:
    """The batches of an epoch from step ``start_step`` on, (batch_size,) each; an incomplete last one is dropped."""
    for step in range(start_step, len(order) // batch_size):
        yield order[step * batch_size : (step + 1) * batch_size]


def micro_batches(batch: Index, size: int, rank: int = 0, processes: int = 1) -> tuple[Index, ...]:
    """The micro-batches of ``size`` that process ``rank`` takes of a batch.

    They are consecutive, so that the rows of all processes, joined by rank, are the batch.

    Raises:
        ValueError: ``size * processes`` does not divide the batch.
    """
    if len(batch) % (size * processes):
        raise ValueError(f"{processes} processes and micro-batches of {size} do not divide a batch of {len(batch)}")
    own = len(batch) // processes
    return tuple(batch[at : at + size] for at in range(rank * own, (rank + 1) * own, size))


def _mix(shards: NDArray[np.integer], starts: Index, rng: np.random.Generator) -> Index:
    samples = np.concatenate([np.arange(starts[shard], starts[shard + 1]) for shard in shards])
    return rng.permutation(samples)
