"""The folder of a run: ``runs/<name>/<cell>/``, and what lies where in it."""

from __future__ import annotations

import fcntl
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import attrs
import numpy as np
from numpy.typing import NDArray

from ..components import UserError
from ..interfaces import Measurement
from ..shards.atomic import replacing, write_bytes, write_json
from ..spec import Cell, to_toml

FORMAT = 1
SHARED = ".shared"
"""Beside runs of a survey: the folder of what they have in common."""


@attrs.frozen
class RunFolder:
    """A run at rest.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def encoder(self) -> Path:
        """The weights of the trained encoder."""
        return self.path / "encoder.safetensors"

    @property
    def card(self) -> Path:
        """How to rebuild the encoder around its weights."""
        return self.path / "card.json"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def embeddings(self) -> Path:
        """The folder of embeddings that were computed."""
        return self.path / "embeddings"

    @property
    def splits(self) -> Path:
        """The folder of index files: which images were trained on, and which were labelled."""
        return self.path / "splits"

    @property
    def pictures(self) -> Path:
        """The folder of pictures and other files of the evaluation, by encoder."""
        return self.path / "pictures"

    @property
    def error(self) -> Path:
        """The message of a failure."""
        return self.path / "error.txt"

    @property
    def stop_mark(self) -> Path:
        """Exists while training processes are asked to stop."""
        return self.path / ".stop"

    def manifest(self) -> dict[str, Any] | None:
        """The run's manifest; ``None`` where no run has begun.

        Raises:
            UserError: It is damaged or of another version.
        """
        manifest: dict[str, Any] | None = read_json(self.path / "manifest.json")
        if manifest is not None and manifest.get("format") != FORMAT:
            raise UserError(
                f"{self.path}/manifest.json: format {manifest.get('format')}, but this version reads {FORMAT}; "
                "run it again in another folder"
            )
        return manifest

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Publish the manifest."""
        write_json(self.path / "manifest.json", {"format": FORMAT, **manifest})

    def write_spec(self, cell: Cell) -> None:
        """Write the resolved spec, which runs as it stands."""
        write_bytes(self.path / "spec.toml", to_toml(cell.resolved).encode())

    def measurements(self) -> tuple[Measurement, ...] | None:
        """The measurements; ``None`` before the evaluation has ended.

        Raises:
            UserError: The file is damaged or of another version.
        """
        path = self.path / "measurements.json"
        rows = read_json(path)
        if rows is None:
            return None
        scores = self.replicates()
        try:
            measured = [Measurement(**row) for row in rows]
            return tuple(attrs.evolve(one, replicates=scores.get(one.key)) for one in measured)
        except (TypeError, ValueError) as error:
            raise UserError(f"{path}: no measurements of this version ({error}); evaluate the run again") from error

    def write_measurements(self, measurements: Sequence[Measurement]) -> None:
        """Publish the measurements, and before them the scores of their resamples, for paired differences."""
        scores = {one.key: one.replicates for one in measurements if one.replicates is not None}
        with replacing(self.path / "replicates.npz") as aside, aside.open("wb") as file:
            np.savez(file, allow_pickle=False, **scores)
        write_json(self.path / "measurements.json", [one.as_json() for one in measurements])

    def replicates(self) -> dict[str, NDArray[np.float64]]:
        """The scores behind the measurements, by :attr:`Measurement.key`; empty before the evaluation has ended.

        Raises:
            UserError: The file is damaged.
        """
        path = self.path / "replicates.npz"
        if not path.exists():
            return {}
        try:
            with np.load(path, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
            raise UserError(f"{path}: damaged ({error}); evaluate the run again") from error

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Keep other processes out of the folder while a run is at work in it.

        Yields the descriptor of the lock: a child that inherits it keeps the lock should this process be killed.

        Raises:
            UserError: Another process is at work here.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UserError(f"{self.path}: another process is running this; wait for it or stop it") from error
            yield file.fileno()


def read_json(path: Path) -> Any:
    """The parsed file; ``None`` where there is none.

    Raises:
        UserError: It is not JSON.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: damaged ({error}); delete the folder {path.parent} and run again") from error
