"""The runs that lie in a folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..components import UserError
from ..engine.folder import RunFolder


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
            raise UserError(f"{path}: no run here; give a folder that `deeplense run` made")
        found |= {folder: RunFolder(folder) for folder in folders}
    return list(found.values())
