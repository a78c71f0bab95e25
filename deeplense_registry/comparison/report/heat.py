"""Heat maps, as tables: methods by backbones under a condition, darker where better."""

from __future__ import annotations

from collections.abc import Sequence

from ..matrix import COLLAPSED, number
from ..models import SUPERVISED, TRAINED, UNTRAINED
from ..scores import Condition, Scores, goodness
from .markup import Markup, cell, element, table
from .palette import level
from .study import Member, Study, Task
from .verdicts import Verdict

BEATS = "↑"
KEY = (
    "Darker is better, within each map. Bold: the best, and what does not differ from it significantly (paired, Holm, "
    f"5 %). {BEATS} significantly better than the same network untrained. {COLLAPSED} collapsed. "
    "Small: the 95 % interval over test images, label draws and seeds."
)


def heat_maps(study: Study, task: Task, verdicts: Sequence[Verdict]) -> Markup:
    """A map for each number of labels."""
    told = {one.condition: one for one in verdicts}
    return element("div", *(_map(study, told[one]) for one in task.conditions), class_="maps")


def _map(study: Study, told: Verdict) -> Markup:
    condition = told.condition
    bounds = _bounds(study, condition)
    members = {(one.method, one.backbone): one for one in study.members}
    rows = [
        [method, *(_member(members.get((method, backbone)), told, bounds) for backbone in study.backbones)]
        for method in study.methods
    ]
    foot = [
        [encoder, *(_scored(scores, condition, bounds) for scores in found)]
        for encoder in (UNTRAINED, SUPERVISED)
        if any(found := [_baseline(study, encoder, condition, backbone) for backbone in study.backbones])
    ]
    labels = f"{condition.labels:,} labels" if condition.labels else "no labels used"
    return table(labels, ["method", *study.backbones], rows, foot=foot, class_="heat")


def _member(member: Member | None, told: Verdict, bounds: tuple[float, float]) -> Markup:
    scores = member and member.model and member.model.scores.get((TRAINED, told.condition))
    if not member or not scores:
        return cell("-", class_="none")
    marks = BEATS * (member.name in told.beating) + COLLAPSED * member.collapsed
    return _scored(scores, told.condition, bounds, marks=marks, strong=member.name in told.alike)


def _scored(
    scores: Scores | None, condition: Condition, bounds: tuple[float, float], *, marks: str = "", strong: bool = False
) -> Markup:
    if scores is None:
        return cell("-", class_="none")
    value, low, high = scores.interval(condition.metric)[:3]
    text = element("b" if strong else "span", number(value), marks)
    shade = level(_good(scores, condition), *bounds)
    return cell(
        element("span", text, element("small", f"{number(low)} {number(high)}")), sort=value, class_=f"h{shade}"
    )


def _bounds(study: Study, condition: Condition) -> tuple[float, float]:
    """The worst and the best of the trained encoders and of the baselines."""
    encoders = [model.scores.get((TRAINED, condition)) for model in study.group.models]
    for encoder in (UNTRAINED, SUPERVISED):
        encoders += [_baseline(study, encoder, condition, backbone) for backbone in study.backbones]
    values = [_good(scores, condition) for scores in encoders if scores is not None]
    return min(values), max(values)


def _baseline(study: Study, encoder: str, condition: Condition, backbone: str) -> Scores | None:
    models = (model for model in study.group.models if model.backbone == backbone)
    return next(filter(None, (study.group.baseline(model, encoder, condition) for model in models)), None)


def _good(scores: Scores, condition: Condition) -> float:
    return float(goodness(condition.metric, scores.replicates[0]).mean())
