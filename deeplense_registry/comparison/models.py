"""Models (a method on a backbone, over seeds), and groups of them that can be compared."""

from __future__ import annotations

from typing import Any

from attrs import define, field, frozen

from ..engine.folder import RunFolder
from ..interfaces import Measurement
from .scores import Condition, Scores

UNTRAINED, SUPERVISED, TRAINED = "untrained", "supervised", "trained"


@frozen
class Run:
    """What of a run matters to a comparison.

    Attributes:
        folder: Where it lies.
        manifest: Its manifest.
        model: A digest of what the encoder is, its seed aside.
        data: A digest of the images and labels that it was judged on.
        labels: The label seed and the other keys of [labels] that matter, and [skew].
        measurements: On the test split.
    """

    folder: RunFolder
    manifest: dict[str, Any]
    model: str
    data: str
    labels: dict[str, Any]
    measurements: tuple[Measurement, ...]


@define(eq=False)
class Model:
    """A method on a backbone, trained with one or more seeds.

    Attributes:
        name: ``method-backbone``, with the spec's name behind where two would be called the same.
        method, backbone: As in the spec; ``method`` with the spec's name likewise.
        seeds: Of its runs.
        collapsed: Seeds of those that collapsed.
        scores: By encoder and condition.
    """

    name: str
    method: str
    backbone: str
    seeds: tuple[int, ...]
    collapsed: tuple[int, ...]
    scores: dict[tuple[str, Condition], Scores] = field(factory=dict)

    def baseline(self, encoder: str, condition: Condition) -> Scores | None:
        """Of the untrained encoder by the same evaluator, or of the supervised one by whichever trained it."""
        if encoder != SUPERVISED:
            return self.scores.get((encoder, condition))
        for (who, other), scores in self.scores.items():
            what = (other.target, other.metric, other.labels)
            if who == encoder and what == (condition.target, condition.metric, condition.labels):
                return scores
        return None


@frozen(eq=False)
class Group:
    """Models judged on the same images with the same labels, so that their differences can be paired."""

    title: str
    models: tuple[Model, ...]

    def conditions(self) -> list[Condition]:
        """Those of trained encoders, in the order of first appearance but for the labels, which ascend."""
        first: dict[tuple[str, str, str], int] = {}
        found = {condition: None for model in self.models for who, condition in model.scores if who == TRAINED}
        for one in found:
            first.setdefault((one.evaluator, one.target, one.metric), len(first))
        return sorted(found, key=lambda one: (first[one.evaluator, one.target, one.metric], one.labels))

    def baseline(self, model: Model, encoder: str, condition: Condition) -> Scores | None:
        """The model's own baseline, or else that of another model of the same backbone."""
        others = (other for other in self.models if other.backbone == model.backbone)
        return next(filter(None, (one.baseline(encoder, condition) for one in (model, *others))), None)
