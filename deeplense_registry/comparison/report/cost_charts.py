"""Cost against quality, with the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from ...evaluation.intervals import Interval
from ..models import TRAINED
from ..scores import Condition
from .charts import figure, row
from .figures import Line, chart, points
from .markup import Markup
from .palette import colour, marker
from .study import Member, Study
from .verdicts import goodness_of

COSTS = {"images_per_second": "images per second", "parameters": "parameters", "minutes": "minutes of training"}


@frozen(eq=False)
class Point:
    """A member: what it costs, how well it does, and that turned so that more is better."""

    member: Member
    cost: float
    score: Interval
    goodness: float


def cost_charts(study: Study, condition: Condition) -> Markup | None:
    """The score under a condition against each cost that is known."""
    return row(*(_chart(study, condition, cost) for cost in COSTS))


def _chart(study: Study, condition: Condition, cost: str) -> Markup | None:
    known = _known(study, condition, cost)
    if not known:
        return None
    sense = -1.0 if cost == "images_per_second" else 1.0
    front = pareto([sense * point.cost for point in known], [point.goodness for point in known])
    drawn = [_drawn(study, point, ringed=number in front) for number, point in enumerate(known)]
    best = [known[number] for number in front]
    steps = Line([point.cost for point in best], [point.score.value for point in best])
    ylabel = f"{condition.target} {condition.metric}".replace("_", " ")
    svg = chart(points(drawn, steps), title="", xlabel=COSTS[cost], ylabel=ylabel)
    names = ", ".join(point.member.name for point in best)
    caption = f"{condition.title.replace('_', ' ')} against {COSTS[cost]}. On the Pareto front: {names}"
    return figure(svg, f"{caption}. The numbers are in the table of costs.", caption)


def _known(study: Study, condition: Condition, cost: str) -> list[Point]:
    found = []
    for member in study.members:
        scores = member.model and member.model.scores.get((TRAINED, condition))
        value = member.cost(cost)
        if member.model and scores and value:
            score = scores.interval(condition.metric)
            found.append(Point(member, value, score, goodness_of(member.model, condition)))
    return found


def _drawn(study: Study, point: Point, *, ringed: bool) -> Line:
    return Line(
        x=[point.cost],
        y=[point.score.value],
        low=[point.score.low],
        high=[point.score.high],
        colour=colour(study.methods.index(point.member.method)),
        marker=marker(study.backbones.index(point.member.backbone)),
        ringed=ringed,
    )


def pareto(costs: Sequence[float], quality: Sequence[float]) -> list[int]:
    """Positions of those that are better than everything as cheap or cheaper, the cheapest first."""
    front: list[int] = []
    for one in sorted(range(len(costs)), key=lambda one: (costs[one], -quality[one])):
        if not front or quality[one] > quality[front[-1]]:
            front.append(one)
    return front
