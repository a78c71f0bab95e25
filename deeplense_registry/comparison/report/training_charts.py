"""Training curves: losses in units of chance, online probes, and the marks of collapse."""

from __future__ import annotations

from .charts import figure, row
from .figures import Line, chart, lines
from .history import Curve
from .markup import Markup
from .palette import colour, marker
from .study import Study

POINTS = 200
"""Of a curve, at most: longer ones are averaged over neighbours."""
_RED = "#b00020"


def training_charts(study: Study, scalar: str, title: str) -> Markup | None:
    """For each backbone the curves of a scalar, a line a run; those that collapsed end in a cross. ``None`` if none."""
    return row(*(_chart(study, scalar, title, backbone) for backbone in study.backbones))


def scalars(study: Study) -> dict[str, str]:
    """What is worth a chart, of all that was logged, with its title."""
    logged = {name: None for member in study.members for run in member.runs for name in run.history.curves}
    wanted = {"loss_over_chance": "loss / chance level", "encoder/effective_rank": "effective rank"}
    for name in logged:
        if name.startswith("online/"):
            target, probe = name.removeprefix("online/").rsplit("/", 1)
            wanted[name] = f"{target} online ({probe})".replace("_", " ")
    return {name: title for name, title in wanted.items() if name in logged}


def _chart(study: Study, scalar: str, title: str, backbone: str) -> Markup | None:
    drawn, said = [], []
    for member in study.members:
        for run in member.runs if member.backbone == backbone else ():
            curve = thinned(run.history.curves.get(scalar, ()))
            if curve:
                collapsed = bool(run.manifest.get("collapsed"))
                drawn += _lines(curve, study.methods.index(member.method), collapsed=collapsed)
                said.append(f"{member.method} ends at {curve[-1][1]:.3g}" + ", collapsed" * collapsed)
    if not drawn:
        return None
    svg = chart(lines(drawn), title=backbone, xlabel="fraction of the training", ylabel=title)
    return figure(svg, f"{title} during training on {backbone}: {'; '.join(said)}")


def _lines(curve: Curve, number: int, *, collapsed: bool) -> list[Line]:
    """The curve, and its end marked."""
    x, y = zip(*curve, strict=True)
    end = Line(x[-1:], y[-1:], colour=_RED, marker="x") if collapsed else None
    return [
        Line(x, y, colour=colour(number)),
        end or Line(x[-1:], y[-1:], colour=colour(number), marker=marker(number)),
    ]


def thinned(curve: Curve) -> Curve:
    """At most :data:`POINTS` points, each the mean of neighbours."""
    size = max(1, -(-len(curve) // POINTS))
    bins = [curve[begin : begin + size] for begin in range(0, len(curve), size)]
    return tuple((_mean([x for x, _ in some]), _mean([y for _, y in some])) for some in bins)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
