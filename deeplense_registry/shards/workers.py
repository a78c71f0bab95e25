"""Parts are written in this process or in several; what a killed build finished is kept."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process
from multiprocessing.sharedctypes import RawArray
from threading import Thread
from typing import Any

from ..components import UserError
from .manifest import Shard
from .part import Part, Source, finished_part, write_part

POLL_SECONDS = 0.2


def write_parts(parts: Sequence[Part], source: Source, processes: int, report: Callable[[int], None]) -> list[Shard]:
    """The shards of ``parts``, in their order, written where they are not there yet."""
    kept = {number: shard for number, part in enumerate(parts) if (shard := finished_part(part))}
    missing = {number: part for number, part in enumerate(parts) if number not in kept}
    already = sum(shard.count for shard in kept.values())
    report(already)
    if processes == 1 or len(missing) < 2:
        written = _in_place(missing, source, _beyond(already, report))
    else:
        written = _in_processes(missing, source, processes, _beyond(already, report))
    return [shard for _, shard in sorted({**kept, **written}.items())]


def _beyond(before: int, report: Callable[[int], None]) -> Callable[[int], None]:
    return lambda done: report(before + done)


def _in_place(parts: Mapping[int, Part], source: Source, report: Callable[[int], None]) -> dict[int, Shard]:
    written: dict[int, Shard] = {}
    before = 0
    for number, part in parts.items():
        written[number] = write_part(part, source, _beyond(before, report))
        before += written[number].count
    return written


def _in_processes(
    parts: Mapping[int, Part], source: Source, processes: int, report: Callable[[int], None]
) -> dict[int, Shard]:
    context = get_context("spawn")  # forking a process that has threads (torch's) can hang
    counts = RawArray("q", max(parts) + 1)  # a slot for each part: nobody waits for a lock that a dead worker held
    workers = min(processes, len(parts))
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(counts,)) as pool:
        futures = {number: pool.submit(_write_there, number, part, source) for number, part in parts.items()}
        try:
            _watch(list(futures.values()), lambda: report(sum(counts)))
        except BrokenProcessPool as error:
            raise UserError(
                "a process that wrote shards was killed, for want of memory perhaps; run it again with fewer processes"
            ) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return {number: future.result() for number, future in futures.items()}


def _watch(futures: Sequence[Future[Shard]], report: Callable[[], None]) -> None:
    """Report until all are done; raise what the first failure raised."""
    waiting = True
    while waiting:
        done, unfinished = wait(futures, POLL_SECONDS, FIRST_EXCEPTION)
        waiting = bool(unfinished)
        for future in done:
            future.result()
        report()


_counts: Any = None  # this worker's view of the counts; arguments of a task cannot carry shared memory


def _start(counts: Any) -> None:
    global _counts
    _counts = counts
    os.environ["OMP_NUM_THREADS"] = "1"  # processes share the cores already; torch reads this when a source imports it
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches every process; one of them tells of it
    Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """End this worker when the process that started it is gone, killed perhaps: nobody else would."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _write_there(number: int, part: Part, source: Source) -> Shard:
    def done(count: int) -> None:
        _counts[number] = count

    return write_part(part, source, done)
