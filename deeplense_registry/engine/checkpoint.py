"""Checkpoints: whole, checksummed, and never the only copy.

A checkpoint is ``step-N.pt`` (tensors, read with ``weights_only=True``) and, written after it, ``step-N.json`` with its
checksum: a ``.pt`` without its ``.json`` was never finished and does not count.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from attrs import frozen
from torch.optim import Optimizer

from ..components import UserError
from ..interfaces import Method
from ..shards.atomic import replacing, write_json

FORMAT = 1
_NAME = re.compile(r"step-(\d{8})\.json")


@frozen
class Checkpoints:
    """The checkpoints of one run.

    Attributes:
        folder: Where they lie.
        digest: The digest of what determines the encoder; a checkpoint of another one is refused.
        keep: How many of the newest stay.
    """

    folder: Path
    digest: str
    keep: int = 2

    def save(self, step: int, method: Method, optimiser: Optimizer) -> None:
        """Write the state after ``step`` steps and drop what is older than the newest ``keep``.

        Raises:
            UserError: The disk refuses; nothing is left half-written.
        """
        state = {"method": method.state_dict(), "optimiser": optimiser.state_dict()}
        path = self._file(step, "pt")
        try:
            with replacing(path) as aside:
                torch.save(state, aside)
                about = {"format": FORMAT, "step": step, "digest": self.digest, "sha256": sha256(aside)}
            write_json(self._file(step, "json"), about)
        except (OSError, RuntimeError) as error:  # torch wraps some failed writes in RuntimeError
            path.unlink(missing_ok=True)
            raise UserError(f"{path}: cannot write the checkpoint: {error}; free the disk and run again") from error
        self._prune()

    def restore(self, method: Method, optimiser: Optimizer | None = None) -> int | None:
        """Load the newest good checkpoint; the number of steps done, or ``None`` where there is none.

        A damaged one is reported by a warning and the one before it taken.

        Raises:
            UserError: A checkpoint belongs to another spec.
        """
        for about in self._abouts():
            if about["digest"] != self.digest:
                raise UserError(
                    f"{self.folder}: the checkpoint at step {about['step']} belongs to another spec "
                    f"({about['digest'][:12]}, not {self.digest[:12]}): choose another run name or --runs folder"
                )
            path = self._file(about["step"], "pt")
            if not path.exists() or sha256(path) != about["sha256"]:
                warnings.warn(f"{path} is damaged; taking the checkpoint before it", stacklevel=2)
                continue
            state = torch.load(path, map_location="cpu", weights_only=True)
            method.load_state_dict(state["method"])
            if optimiser is not None:
                optimiser.load_state_dict(state["optimiser"])
            return int(about["step"])
        return None

    def _abouts(self) -> Iterator[dict[str, Any]]:
        """What is known of each checkpoint, newest first."""
        for path in sorted(self.folder.glob("step-*.json"), reverse=True):
            if _NAME.fullmatch(path.name):
                about: dict[str, Any] = json.loads(path.read_text())
                yield about

    def _file(self, step: int, suffix: str) -> Path:
        return self.folder / f"step-{step:08d}.{suffix}"

    def _prune(self) -> None:
        for old in sorted(self.folder.glob("step-*.json"))[: -self.keep]:
            old.unlink()
            old.with_suffix(".pt").unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """The checksum of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
