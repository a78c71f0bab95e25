"""What may be deleted below a folder of runs without losing a result."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import frozen

from ..components import UserError
from ..engine import SHARED, RunFolder
from .registry import at_work, entry, half_written


@frozen
class Garbage:
    """Something that may go.

    Attributes:
        run: In whose folder it lies.
        path: A file or a folder.
        why: What it is.
        bytes: Its size on disk.
    """

    run: RunFolder
    path: Path
    why: str
    bytes: int


def garbage(root: Path) -> list[Garbage]:
    """All that may go below ``root``; runs that somebody is at work on are left alone.

    Raises:
        UserError: There is no such folder.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; runs lie in runs/<name>/<cell>")
    folders = sorted({file.parent for name in ("manifest.json", ".lock", "spec.toml") for file in root.rglob(name)})
    runs = [*map(RunFolder, folders)]
    found = [(run, path, why) for run in runs if not at_work(run) for path, why in _of(run)]
    found += [(run, path, "predictions that runs share, computed again") for run, path in _shared(root, runs)]
    return [Garbage(run, path, why, size(path)) for run, path, why in found]


def delete(found: Garbage) -> int:
    """Delete it; the bytes freed, 0 where a run has begun there since.

    Raises:
        UserError: The disk refuses.
    """
    try:
        with found.run.locked():
            shutil.rmtree(found.path) if found.path.is_dir() else found.path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{found.path}: cannot delete: {error}") from error
    return found.bytes


def size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def _of(run: RunFolder) -> Iterator[tuple[Path, str]]:
    """What may go from one folder."""
    if half_written(run.path):
        yield run.path, "stopped before it began"
        return
    state = entry(run)
    if not state.manifest:  # damaged, or no run at all
        return
    yield from ((path, "left by a write that was killed") for path in sorted(run.path.rglob(".*.part")))
    if state.manifest.get("status") == "finished":
        yield from _of_finished(run)


def _of_finished(run: RunFolder) -> Iterator[tuple[Path, str]]:
    """Evaluating the run anew needs the newest checkpoint; embeddings are computed again."""
    whole = sorted(run.checkpoints.glob("step-*.json"))
    keep = whole[-1].stem if whole else ""
    for path in sorted(run.checkpoints.glob("step-*")):
        if path.stem != keep:
            yield path, "checkpoint before the last"
    if run.embeddings.is_dir():
        yield run.embeddings, "embeddings, computed again when asked for"


def _shared(root: Path, runs: Sequence[RunFolder]) -> Iterator[tuple[RunFolder, Path]]:
    """What finished surveys hold in common, each with one of the runs that made it."""
    for path in sorted(root.rglob(SHARED)):
        makers = [run for run in runs if run.path.parent == path.parent]
        waiting = [run for run in makers if at_work(run) or entry(run).manifest.get("status") != "finished"]
        if makers and not waiting:
            yield makers[0], path
