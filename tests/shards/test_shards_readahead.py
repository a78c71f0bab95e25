"""Reading ahead: in order, with the thread's own errors, and gone when closed."""

from __future__ import annotations

import gc
import threading
import time
import traceback
from collections.abc import Iterator

import numpy as np
import pytest

from deeplense_registry.shards import read_ahead


def indices(count: int) -> list[np.ndarray]:
    return [np.array([number]) for number in range(count)]


def double(index: np.ndarray) -> int:
    return 2 * int(index[0])


def threads() -> int:
    return sum(thread.name == "read-ahead" for thread in threading.enumerate())


def test_items_come_in_order_and_the_thread_ends() -> None:
    stream = read_ahead(double, indices(50), depth=3)
    assert list(stream) == [2 * number for number in range(50)]
    assert list(stream) == []
    assert threads() == 0


def test_it_reads_ahead_but_no_further_than_depth() -> None:
    started: list[int] = []

    def read(index: np.ndarray) -> int:
        started.append(int(index[0]))
        return double(index)

    with read_ahead(read, indices(50), depth=2) as stream:
        assert next(stream) == 0
        end = time.monotonic() + 5
        while len(started) < 4 and time.monotonic() < end:
            time.sleep(0.005)
        time.sleep(0.05)
        assert started == [0, 1, 2, 3]  # one used, two waiting, one in hand
    assert threads() == 0


def test_an_error_comes_at_its_item_with_its_traceback() -> None:
    def break_at_two(index: np.ndarray) -> int:
        if index[0] == 2:
            raise OSError("the disk is gone")
        return double(index)

    with read_ahead(break_at_two, indices(5)) as stream:
        assert [next(stream), next(stream)] == [0, 2]
        with pytest.raises(OSError, match="the disk is gone") as error:
            next(stream)
    assert "break_at_two" in "".join(traceback.format_tb(error.value.__traceback__))
    assert threads() == 0


def test_an_error_of_the_indices_comes_too() -> None:
    def broken() -> Iterator[np.ndarray]:
        yield np.array([0])
        raise ValueError("no more")

    stream = read_ahead(double, broken())
    assert next(stream) == 0
    with pytest.raises(ValueError, match="no more"):
        next(stream)


@pytest.mark.parametrize("taken", [0, 1, 4])
def test_closing_early_stops_the_thread(taken: int) -> None:
    for depth in (1, 2):
        stream = read_ahead(double, indices(10_000), depth)
        for _ in range(taken):
            next(stream)
        stream.close()
        stream.close()
        assert threads() == 0
        assert next(stream, None) is None


def test_letting_go_stops_the_thread() -> None:
    stream = read_ahead(double, indices(10_000))
    next(stream)
    del stream
    gc.collect()
    end = time.monotonic() + 5
    while threads() and time.monotonic() < end:
        time.sleep(0.005)
    assert threads() == 0


def test_a_depth_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="depth is at least 1, not 0"):
        read_ahead(double, indices(1), depth=0)
