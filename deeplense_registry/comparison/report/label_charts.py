"""Label-efficiency curves: scores against the number of labels."""

from __future__ import annotations

from ..models import SUPERVISED, TRAINED, UNTRAINED
from ..scores import Condition, Scores
from . import palette
from .charts import figure, row
from .figures import Line, chart, lines
from .markup import Markup
from .study import Study, Task

_BASELINES = ((UNTRAINED, "--", palette.GREY), (SUPERVISED, ":", "#222222"))


def label_charts(study: Study, task: Task) -> Markup | None:
    """For each backbone the scores of every method, trained, and of the baselines; ``None`` for a single budget."""
    if len(task.conditions) < 2:
        return None
    bounds = _bounds(study, task)
    return row(*(_chart(study, task, backbone, bounds) for backbone in study.backbones))


def _chart(study: Study, task: Task, backbone: str, bounds: tuple[float, float]) -> Markup | None:
    models = {one.method: one.model for one in study.members if one.model and one.backbone == backbone}
    if not models:
        return None
    drawn = []
    for encoder, style, paint in _BASELINES:
        first = next(iter(models.values()))
        found = {one: study.group.baseline(first, encoder, one) for one in task.conditions}
        drawn.append((encoder, _line(found, colour=paint, style=style)))
    for method, model in models.items():
        number = study.methods.index(method)
        found = {one: model.scores.get((TRAINED, one)) for one in task.conditions}
        drawn.append((method, _line(found, colour=palette.colour(number), marker=palette.marker(number))))
    drawn = [(name, line) for name, line in drawn if line.x]
    ticks = sorted({condition.labels for condition in task.conditions})
    draw = lines([line for _, line in drawn], ticks=ticks, bounds=bounds)
    said = "; ".join(f"{name} {_points(line)}" for name, line in drawn)
    svg = chart(draw, title=backbone, xlabel="labels", ylabel=task.axis)
    return figure(svg, f"{task.title} against labels on {backbone}: {said}")


def _line(found: dict[Condition, Scores | None], *, colour: str, marker: str = "", style: str = "-") -> Line:
    known = [(one.labels, scores.interval(one.metric)) for one, scores in found.items() if scores is not None]
    return Line(
        x=[labels for labels, _ in known],
        y=[score.value for _, score in known],
        low=[score.low for _, score in known],
        high=[score.high for _, score in known],
        colour=colour,
        marker=marker,
        style=style,
    )


def _points(line: Line) -> str:
    return ", ".join(f"{y:.3f} at {x:g}" for x, y in zip(line.x, line.y, strict=True))


def _bounds(study: Study, task: Task) -> tuple[float, float]:
    """Of all intervals over all backbones, so that panels can be compared."""
    intervals = [
        scores.interval(one.metric)
        for model in study.group.models
        for (encoder, one), scores in model.scores.items()
        if one in task.conditions or (encoder == SUPERVISED and (one.target, one.metric) == (task.target, task.metric))
    ]
    low, high = min(one.low for one in intervals), max(one.high for one in intervals)
    margin = 0.05 * (high - low) or 0.05
    return low - margin, high + margin
