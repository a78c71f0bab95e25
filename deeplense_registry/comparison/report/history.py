"""What ``log.jsonl`` tells of a run: curves, warnings, how fast it trained and how long."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

from attrs import frozen

from ...components import UserError

Curve = tuple[tuple[float, float], ...]
"""Points (fraction of the training that is done, value)."""


@frozen
class History:
    """A run's training as it was logged.

    Attributes:
        curves: By name of the scalar.
        warnings: In their order.
        images_per_second: The median of what was logged; ``None`` where nothing was.
        seconds: Spent in training, on steps that were kept; 0 where none is logged.
    """

    curves: dict[str, Curve]
    warnings: tuple[str, ...]
    images_per_second: float | None
    seconds: float


def read_history(path: Path) -> History:
    """The history in a log; an empty one where there is no log. A last line that is cut off counts as none.

    Raises:
        UserError: A line is no JSON object, or lacks what its event needs.
    """
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    try:
        events = [json.loads(line) for line in lines if line.endswith(b"\n")]
        return _history(events)
    except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise UserError(f"{path}: damaged ({error!r}); its curves are left out") from error


def _history(events: list[dict[str, Any]]) -> History:
    steps = next((event["steps"] for event in reversed(events) if event["event"] == "training"), 0)
    scalars = [event for event in events if event["event"] == "scalars"]
    points: dict[str, list[tuple[float, float]]] = {}
    for event in scalars:
        for name, value in event.items():
            if name not in ("time", "event", "step"):
                points.setdefault(name, []).append((event["step"] / steps, float(value)))
    speeds = [value for _, value in points.get("images_per_second", ())]
    return History(
        curves={name: tuple(curve) for name, curve in points.items()},
        warnings=tuple(event["text"] for event in events if event["event"] == "warning"),
        images_per_second=median(speeds) if speeds else None,
        seconds=_seconds(events),
    )


def _seconds(events: Iterable[dict[str, Any]]) -> float:
    """From each start or continuation of the training to the last scalars before it was left."""
    total, begun = 0.0, None
    for event in events:
        if event["event"] == "training":
            begun = event["time"]
        elif event["event"] == "scalars" and begun is not None:
            total, begun = total + event["time"] - begun, event["time"]
        elif event["event"] in ("started", "phase", "ended"):
            begun = None
    return total
