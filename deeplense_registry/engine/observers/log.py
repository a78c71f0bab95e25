"""The log of a run: ``log.jsonl``, a JSON object a line, for people with scripts."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...components import hookimpl
from ...shards.atomic import write_bytes


class Log:
    """Appends a line for each event; a continued run first drops what lies after the step it continues from."""

    def __init__(self) -> None:
        """Begin before the first step."""
        self._step = 0

    @hookimpl
    def run_started(self, folder: Path) -> None:
        """Open the log."""
        self._path = folder / "log.jsonl"
        write_bytes(self._path, b"".join(_lines(self._path)))
        self._write({"event": "started"})

    @hookimpl
    def phase(self, name: str) -> None:
        """Note what the run turns to."""
        self._write({"event": "phase", "name": name})

    @hookimpl
    def training_started(self, steps: int, step: int) -> None:
        """Drop what an earlier process logged of later steps."""
        kept = [line for line in _lines(self._path) if json.loads(line).get("step", 0) <= step]
        write_bytes(self._path, b"".join(kept))
        self._step = step
        self._write({"event": "training", "step": step, "steps": steps})

    @hookimpl
    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Note the scalars of a step."""
        self._step = step
        self._write({"event": "scalars", "step": step, **values})

    @hookimpl
    def warning(self, text: str) -> None:
        """Note a warning, with the step it speaks of."""
        self._write({"event": "warning", "step": self._step, "text": text})

    @hookimpl
    def measurement(self, measurement: Any) -> None:
        """Note a measurement."""
        self._write({"event": "measurement", **measurement.as_json()})

    @hookimpl
    def run_ended(self, status: str) -> None:
        """Note the end."""
        self._write({"event": "ended", "status": status})

    def _write(self, record: dict[str, Any]) -> None:
        line = json.dumps({"time": round(time.time(), 3), **record})
        with self._path.open("a") as file:
            file.write(line + "\n")


def _lines(path: Path) -> list[bytes]:
    """The whole lines of an earlier process; a last one that a kill cut off is none."""
    if not path.exists():
        return []
    return [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
