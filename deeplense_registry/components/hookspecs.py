"""The hooks: one by which plugins declare components, and those that observers of a run implement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from .record import Component

PROJECT = "deeplense"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class PluginHooks:
    """Hooks of a plugin's light module."""

    @hookspec
    def deeplense_components(self) -> Iterable[Component]:  # type: ignore[empty-body]
        """Yield a Component for each entry point that names this module."""


class ObserverHooks:
    """Hooks of an observer, which is an instance built for one run. All are optional; none may change the run."""

    @hookspec
    def run_started(self, folder: Path, spec: Mapping[str, Any]) -> None:
        """A run starts, or continues, in ``folder``; ``spec`` is the resolved spec."""

    @hookspec
    def phase(self, name: str) -> None:
        """The run turns to something else: "data", "training", "evaluation"."""

    @hookspec
    def progress(self, done: int, total: int | None) -> None:
        """Work of a phase other than training: ``done`` of ``total`` samples or tasks."""

    @hookspec
    def training_started(self, steps: int, step: int) -> None:
        """Training starts, or continues after ``step`` of ``steps``; what was seen of later steps is void."""

    @hookspec
    def scalars(self, step: int, steps: int, values: Mapping[str, float]) -> None:
        """Scalars after training step ``step`` of ``steps`` (counted from 1)."""

    @hookspec
    def warning(self, text: str) -> None:
        """Something that a person should know while the run goes on: it collapses, say."""

    @hookspec
    def picture(self, name: str, image: Any, step: int) -> None:
        """A picture: an array (H, W) or (H, W, 3), float in [0, 1]."""

    @hookspec
    def projector(self, name: str, vectors: Any, labels: Mapping[str, Any], thumbnails: Any, step: int) -> None:
        """Points of a space, (n, D), with columns of n texts and pictures (n, h, w[, 3]) in [0, 1] or ``None``."""

    @hookspec
    def measurement(self, measurement: Any) -> None:
        """An evaluator's measurement (:class:`deeplense_registry.Measurement`)."""

    @hookspec
    def run_ended(self, status: str) -> None:
        """The run ended: "finished", "failed" or "interrupted"."""
