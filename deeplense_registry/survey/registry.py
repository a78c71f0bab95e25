"""The runs that lie in a folder, and how each stands."""

from __future__ import annotations

import fcntl
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from attrs import frozen

from ..components import UserError
from ..engine.folder import RunFolder

BEGUN = frozenset({"spec.toml", "log.jsonl", "error.txt", "worker.log", "checkpoints", ".lock"})
"""What may lie in the folder of a run before its manifest does."""


def find_runs(paths: Iterable[Path]) -> list[RunFolder]:
    """The run folders at or below the paths, sorted, each once; a half-begun folder without a manifest is none.

    Raises:
        UserError: A path does not exist, or there is no run at or below it.
    """
    found: dict[Path, RunFolder] = {}
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such folder; runs lie in runs/<name>/<cell>")
        folders = sorted(file.parent for file in path.rglob("manifest.json"))
        if not folders:
            raise UserError(_no_run(path))
        found |= {folder: RunFolder(folder) for folder in folders}
    return list(found.values())


def one_run(path: Path) -> RunFolder:
    """The one run at or below ``path``, whose manifest can be read.

    Raises:
        UserError: There is none, or several, or it is damaged.
    """
    runs = find_runs([path])
    if len(runs) > 1:
        raise UserError(f"{path}: {len(runs)} runs here; give one of them, {runs[0].path} say")
    if problem := entry(runs[0]).problem:
        raise UserError(problem)
    return runs[0]


def _no_run(path: Path) -> str:
    begun = sorted(file.parent for file in path.rglob(".lock") if half_written(file.parent))
    if begun:
        return (
            f"{begun[0]}: a run that was stopped before it began (there is no manifest.json): run its spec again, or "
            "remove it with deeplense runs gc"
        )
    return f"{path}: no run here; give a folder that `deeplense run` made"


def half_written(path: Path) -> bool:
    """Whether a run was begun in the folder and has no manifest; one that holds anything foreign is none of ours."""
    names = {entry.name for entry in path.iterdir() if not entry.name.endswith(".part")} if path.is_dir() else set()
    return ".lock" in names and names <= BEGUN


def at_work(run: RunFolder) -> bool:
    """Whether a process holds the run's folder."""
    try:
        with (run.path / ".lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@frozen
class Entry:
    """A run as the registry lists it.

    Attributes:
        run: Its folder.
        manifest: What it was made with; empty if it cannot be read.
        status: "finished", "failed", "interrupted", "running", "killed" (the manifest says running, but nobody is at
            work) or "damaged"; with ", collapsed" behind where the run is.
        problem: What is wrong with a damaged one.
    """

    run: RunFolder
    manifest: dict[str, Any]
    status: str
    problem: str = ""

    def value(self, name: str) -> str:
        """A field of the manifest as text, "-" where there is none."""
        return str(self.manifest.get(name, "-"))


def entry(run: RunFolder) -> Entry:
    """How a run stands."""
    try:
        manifest = run.manifest() or {}
    except UserError as error:
        return Entry(run, {}, "damaged", str(error))
    if "train_digest" not in manifest:
        return Entry(run, {}, "damaged", f"{run.path}/manifest.json is no run's manifest")
    status = str(manifest["status"])
    if status == "running" and not at_work(run):
        status = "killed"
    return Entry(run, manifest, f"{status}, collapsed" if manifest.get("collapsed") else status)
