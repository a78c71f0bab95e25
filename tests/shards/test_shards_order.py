"""The order of samples, by property."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplense_registry.components import UserError
from deeplense_registry.shards import batches, epoch_order, micro_batches, weighted_order

COUNTS = st.lists(st.integers(0, 9), max_size=8)
SEEDS = st.integers(0, 2**31)
WINDOWS = st.none() | st.integers(1, 9)


@given(COUNTS, SEEDS, st.integers(0, 50), WINDOWS)
def test_an_epoch_is_a_permutation_and_a_function_of_its_arguments(
    counts: list[int], seed: int, epoch: int, window: int | None
) -> None:
    order = epoch_order(counts, seed, epoch, window)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(sum(counts)))
    np.testing.assert_array_equal(order, epoch_order(counts, seed, epoch, window))


@given(SEEDS, st.integers(0, 50), WINDOWS)
def test_epochs_and_seeds_differ(seed: int, epoch: int, window: int | None) -> None:
    counts = [20, 30, 10]
    order = epoch_order(counts, seed, epoch, window).tolist()
    assert order != epoch_order(counts, seed, epoch + 1, window).tolist()
    assert order != epoch_order(counts, seed + 1, epoch, window).tolist()


@given(st.lists(st.integers(1, 6), min_size=1, max_size=8), SEEDS, st.integers(1, 4))
def test_a_window_holds_whole_shards(counts: list[int], seed: int, window: int) -> None:
    """The first windows' samples are exactly those of ``window`` shards."""
    shard_of = np.repeat(np.arange(len(counts)), counts)[epoch_order(counts, seed, 0, window)]
    at, left = 0, set(range(len(counts)))
    while left:
        shards = set(shard_of[at : at + 1])
        while len(shards) < min(window, len(left)):
            shards.add(next(shard for shard in shard_of[at:] if shard not in shards))
        size = sum(counts[shard] for shard in shards)
        assert set(shard_of[at : at + size]) == shards
        at, left = at + size, left - shards


def test_without_a_window_every_position_is_as_likely() -> None:
    first = [int(epoch_order([5, 1, 4], 3, epoch)[0]) for epoch in range(2000)]
    assert np.bincount(first, minlength=10).min() > 150  # 200 expected, deviation 13


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="a window is at least one shard, not 0"):
        epoch_order([1], 0, 0, 0)


@given(st.integers(0, 60), st.integers(1, 9), st.integers(0, 12))
def test_any_start_is_the_suffix(count: int, batch_size: int, start: int) -> None:
    order = epoch_order([count], 1, 2)
    whole = [batch.tolist() for batch in batches(order, batch_size)]
    assert all(len(batch) == batch_size for batch in whole)
    assert [one for batch in whole for one in batch] == order[: count // batch_size * batch_size].tolist()
    assert [batch.tolist() for batch in batches(order, batch_size, start)] == whole[start:]


@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4))
def test_processes_share_a_batch_in_its_order(size: int, each: int, processes: int) -> None:
    batch = epoch_order([size * each * processes], 1, 2)
    parts = [part for rank in range(processes) for part in micro_batches(batch, size, rank, processes)]
    assert len(parts) == each * processes
    np.testing.assert_array_equal(np.concatenate(parts), batch)


def test_a_batch_that_is_not_divided_is_refused() -> None:
    with pytest.raises(ValueError, match="3 processes and micro-batches of 2 do not divide a batch of 8"):
        micro_batches(np.arange(8), 2, 0, 3)


def test_weights_are_followed() -> None:
    order = weighted_order(np.array([1.0, 0.0, 3.0, 0.0]), 4000, 5, 1)
    counts = np.bincount(order, minlength=4)
    assert counts[1] == counts[3] == 0
    assert abs(counts[2] - 3000) < 150  # deviation 27
    np.testing.assert_array_equal(order, weighted_order(np.array([1.0, 0.0, 3.0, 0.0]), 4000, 5, 1))
    assert order.tolist() != weighted_order(np.array([1.0, 0.0, 3.0, 0.0]), 4000, 5, 2).tolist()


@pytest.mark.parametrize("weights", [[1.0, -1.0], [0.0, 0.0], [np.nan, 1.0]])
def test_weights_that_are_none_are_refused(weights: list[float]) -> None:
    with pytest.raises(UserError, match="sampling weights must be finite, not negative, and not all zero"):
        weighted_order(np.array(weights), 3, 0, 0)
