"""Batches are read ahead by a thread. Reading lets go of the interpreter, so worker processes would only add copies."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Index = NDArray[np.int64]
_Queue = Queue[tuple[str, Any]]  # ("item", what was read), ("error", exception) or ("end", None)


class ReadAhead(Generic[T]):
    """An iterator whose items a thread reads ahead; see :func:`read_ahead`."""

    def __init__(self, read: Callable[[Index], T], indices: Iterable[Index], depth: int) -> None:
        """Start the thread, which does not know this object, so that one that is let go of ends its thread."""
        self._queue: _Queue = Queue(depth)
        stop = Event()
        self._thread = Thread(target=_fill, args=(read, indices, self._queue, stop), name="read-ahead", daemon=True)
        self._release = weakref.finalize(self, _release, self._queue, stop)
        self._thread.start()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        if not self._release.alive:
            raise StopIteration
        kind, value = self._queue.get()
        if kind == "item":
            item: T = value
            return item
        self.close()
        raise value if kind == "error" else StopIteration

    def close(self) -> None:
        """Stop reading; returns when the read that is under way has ended. Closing again does nothing."""
        self._release()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_ahead(read: Callable[[Index], T], indices: Iterable[Index], depth: int = 2) -> ReadAhead[T]:
    """``read(index)`` for each of ``indices``, in order, up to ``depth`` of them ahead of their use.

    Use it as a context manager, or close it, to leave before the end. What ``read`` or ``indices`` raises is raised at
    the item it belongs to, with its traceback.

    Raises:
        ValueError: ``depth`` is below 1.
    """
    if depth < 1:
        raise ValueError(f"depth is at least 1, not {depth}")
    return ReadAhead(read, indices, depth)


def _fill(read: Callable[[Index], T], indices: Iterable[Index], queue: _Queue, stop: Event) -> None:
    last: tuple[str, Any] = ("end", None)
    try:
        for index in indices:
            item = read(index)
            if stop.is_set():
                return
            queue.put(("item", item))
    except BaseException as error:  # raised where the item is awaited
        last = ("error", error)
    if not stop.is_set():
        queue.put(last)


def _release(queue: _Queue, stop: Event) -> None:
    """Let go a thread that waits for room: after ``stop`` it puts one thing at most, and there is room for one."""
    stop.set()
    try:
        while True:
            queue.get_nowait()
    except Empty:
        return
