"""Runs as a report needs them: whatever can be read of each, and what cannot in words."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any, TypeVar

from attrs import frozen
from safetensors import SafetensorError, safe_open

from ...components import UserError
from ...engine.folder import RunFolder
from ...survey import entry
from .history import History, read_history

T = TypeVar("T")
_NOTHING = History({}, (), None, 0.0)
_STATISTICS = ("running_mean", "running_var")


@frozen(eq=False)
class Run:
    """A run and how it stands.

    Attributes:
        folder: Where it lies.
        manifest: Its manifest; empty where it cannot be read.
        status: As ``deeplense runs list`` says it.
        text: ``spec.toml``; empty where there is none.
        spec: The same, parsed.
        measured: Whether it is finished and has measurements.
        history: Its training.
        parameters: Of its encoder, or ``None`` before it is saved.
        problems: What could not be read.
    """

    folder: RunFolder
    manifest: dict[str, Any]
    status: str
    text: str
    spec: dict[str, Any]
    measured: bool
    history: History
    parameters: int | None
    problems: tuple[str, ...]

    @property
    def known(self) -> bool:
        """Whether manifest and spec say what it is."""
        return bool(self.manifest and self.spec)

    @property
    def pictures(self) -> list[Path]:
        """Its PNG files, by encoder and name."""
        return sorted(self.folder.pictures.rglob("*.png"))


def read_runs(folders: Sequence[RunFolder]) -> list[Run]:
    """The runs, in the order given."""
    return [_read(folder) for folder in folders]


def _read(folder: RunFolder) -> Run:
    found, problems = entry(folder), []

    def attempt(read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except UserError as error:
            problems.append(str(error))
            return otherwise

    if found.problem:
        problems.append(found.problem)
    text = attempt(lambda: _text(folder), "")
    spec: dict[str, Any] = attempt(lambda: _parsed(folder, text), {})
    measured = attempt(lambda: bool(folder.measurements()), otherwise=False) and found.status.startswith("finished")
    history = attempt(lambda: read_history(folder.path / "log.jsonl"), _NOTHING)
    size = attempt(lambda: parameters(folder.encoder), None)
    return Run(folder, found.manifest, found.status, text, spec, measured, history, size, tuple(problems))


def _text(folder: RunFolder) -> str:
    path = folder.path / "spec.toml"
    try:
        return path.read_text()
    except FileNotFoundError as error:
        raise UserError(f"{path}: missing: the run is half-written; run its spec again") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: damaged ({error}); run its spec again") from error


def _parsed(folder: RunFolder, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{folder.path}/spec.toml: damaged ({error}); run its spec again") from error


def parameters(path: Path) -> int | None:
    """How many numbers an encoder file holds, statistics of batch norm and integers aside; ``None`` without a file.

    Raises:
        UserError: It is damaged.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            learned = [part for name, part in parts.items() if not name.endswith(_STATISTICS)]
            return sum(int(prod(part.get_shape())) for part in learned if "F" in part.get_dtype())
    except SafetensorError as error:
        raise UserError(f"{path}: damaged ({error}); run its spec again") from error
