"""How fast a run goes, and how far it is, from the events of its log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define


@define(eq=False)
class Pace:
    """What the events told so far.

    Attributes:
        phase: What the run is at: "data", "training", "evaluation", or "" before and after.
        step, steps: Training steps done, and of how many (``None`` until training starts).
        timed, stepping: Steps that were timed, and their seconds.
        loss, rate: The last logged loss and images per second.
        measured: Measurements of this evaluation.
        evaluating: When the evaluation began (Unix time), while it lasts.
        rest: Seconds that the last whole run took beside training, by itself: opening data, evaluation.
        shared: Seconds that it took to measure the supervised network, which the runs of one backbone and seed share:
            the first of them trains it.
    """

    phase: str = ""
    step: int = 0
    steps: int | None = None
    timed: int = 0
    stepping: float = 0.0
    loss: float | None = None
    rate: float | None = None
    measured: int = 0
    evaluating: float | None = None
    rest: float | None = None
    shared: float | None = None
    _before: tuple[float, int] | None = None  # when a step was last logged, and which
    _started: float = 0.0
    _setup: float = 0.0
    _supervised: float = 0.0
    _last: float = 0.0  # when the evaluation began, or a measurement was logged

    @property
    def per_step(self) -> float | None:
        """Seconds a step takes, with all that goes along; ``None`` until steps were timed."""
        return self.stepping / self.timed if self.timed else None

    def take(self, event: Mapping[str, Any]) -> None:
        """Take in one event; of those without a method below there is nothing to learn."""
        method = getattr(self, f"_on_{event['event']}", None)
        if method is not None:
            method(event)

    def _on_started(self, event: Mapping[str, Any]) -> None:
        self._started, self._before, self.evaluating = event["time"], None, None
        self.phase, self.measured = "", 0

    def _on_phase(self, event: Mapping[str, Any]) -> None:
        self.phase = event["name"]
        self.evaluating = event["time"] if self.phase == "evaluation" else None
        self._last, self._supervised = event["time"], 0.0

    def _on_training(self, event: Mapping[str, Any]) -> None:
        self.phase, self.step, self.steps = "training", event["step"], event["steps"]
        self._before = (event["time"], self.step)
        if self.step < self.steps:  # else training is over, in processes of its own perhaps
            self._setup = event["time"] - self._started

    def _on_scalars(self, event: Mapping[str, Any]) -> None:
        time, self.step = event["time"], event["step"]
        if self._before is not None and self.step > self._before[1]:
            self.stepping += time - self._before[0]
            self.timed += self.step - self._before[1]
        self._before = (time, self.step)
        self.loss, self.rate = event.get("loss"), event.get("images_per_second")

    def _on_measurement(self, event: Mapping[str, Any]) -> None:
        self.measured += 1
        if event.get("encoder") == "supervised":
            self._supervised += event["time"] - self._last
        self._last = event["time"]

    def _on_ended(self, event: Mapping[str, Any]) -> None:
        if event["status"] == "finished" and self.evaluating is not None:
            self.rest = self._setup + event["time"] - self.evaluating - self._supervised
            self.shared = self._supervised
        self.phase, self.evaluating, self._before = "", None, None
