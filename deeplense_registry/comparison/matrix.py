"""Methods by backbones under each condition, and the models' mean ranks."""

from __future__ import annotations

from collections.abc import Sequence

from ..components import UserError
from .critical import letters
from .models import SUPERVISED, TRAINED, UNTRAINED, Group, Model
from .scores import Condition, Scores, goodness
from .sheet import Cell, Sheet, sheet
from .significance import Difference, mean_ranks

HEADLINE = ("auroc", "r2")
"""The metrics that are compared where none is asked for: of classes, and of quantities."""
COLLAPSED = "†"


def number(value: float) -> str:
    """Three decimals, without a minus that would vanish in rounding."""
    return f"{value:.3f}".replace("-0.000", "0.000")


def with_interval(value: float, low: float, high: float) -> str:
    """``0.731 (0.700 0.760)``."""
    return f"{number(value)} ({number(low)} {number(high)})"


def matrix(group: Group, condition: Condition, differences: Sequence[Difference], models: Sequence[Model]) -> Sheet:
    """A row for each method and for the baselines, a column for each backbone.

    Args:
        group: Where the models are from.
        condition: What is shown.
        differences: Of the models' pairs under this condition. The best model and those that do not differ from it
            significantly stand out.
        models: In the order of rows and columns.
    """
    by_names = {(model.method, model.backbone): model for model in models}
    methods, backbones = (list(dict.fromkeys(names[axis] for names in by_names)) for axis in (0, 1))
    strong = among_the_best(condition, differences, models)
    rows: list[list[str | Cell]] = []
    for method in methods:
        found = [by_names.get((method, backbone)) for backbone in backbones]
        rows.append([method, *(_cell(model, condition, strong) for model in found)])
    for encoder in (UNTRAINED, SUPERVISED):
        scores = [_reference(group, encoder, condition, backbone) for backbone in backbones]
        if any(scores):
            rows.append([encoder, *(Cell("-") if one is None else _text(one, condition) for one in scores)])
    note = "Bold: the best, and what does not differ from it significantly (Holm, 5 %)."
    if any(model.collapsed for model in models):
        note += f" {COLLAPSED} collapsed."
    return sheet(condition.title, ["", *backbones], rows, note=note if len(models) > 1 else "")


def among_the_best(condition: Condition, differences: Sequence[Difference], models: Sequence[Model]) -> set[str]:
    """Names of the best model and of those that do not differ from it significantly."""
    values = {
        model.name: goodness(condition.metric, model.scores[TRAINED, condition].replicates[0]).mean()
        for model in models
        if (TRAINED, condition) in model.scores
    }
    if len(values) < 2:
        return set()
    best = max(values, key=lambda name: values[name])
    if not differences:
        return {best}
    worse = {
        one.one if one.other == best else one.other for one in differences if one.significant and best in one.names
    }
    return set(values) - worse


def ranks(group: Group, conditions: Sequence[Condition], differences: Sequence[Difference]) -> Sheet | None:
    """Models by mean rank; those that share a letter do not differ significantly. ``None`` for fewer than two."""
    means = mean_ranks(group, conditions)
    if len(means) < 2:
        return None
    marks = letters(means, differences)
    order = sorted(means, key=lambda name: means[name])
    missing = [model.name for model in group.models if model.name not in means]
    over = "1 condition" if len(conditions) == 1 else f"{len(conditions)} conditions"
    note = f"Over {over}. Models that share a letter do not differ significantly (Holm, 5 %)."
    if not differences:
        note = f"Over {over}. No two models could be paired, so nothing is tested."
    elif all(len(model.seeds) == 1 for model in group.models):
        note += " With one seed each these are differences of these encoders, not of their methods."
    if missing:
        note += f" Not measured under all of them: {', '.join(missing)}."
    rows = [[name, f"{means[name]:.2f}", marks[name]] for name in order]
    return sheet("Mean rank (1 is best)", ["model", "mean rank", "alike"], rows, note=note)


def pairs(condition: Condition, differences: Sequence[Difference]) -> Sheet:
    """Every pair of models under a condition, the better one first, the surest first."""
    rows: list[list[str | Cell]] = []
    for one in sorted(differences, key=lambda one: one.p):
        names, value, low, high = (one.one, one.other), one.value, one.low, one.high
        if not one.better:
            names, value, low, high = (one.other, one.one), -one.value, -one.high, -one.low
        rows.append([*names, Cell(with_interval(value, low, high), one.significant), p_text(one.p)])
    title = f"{condition.title}: paired differences"
    return sheet(title, ["better", "worse", "difference", "p (Holm)"], rows, words=2)


def p_text(p: float) -> str:
    """``0.032``, ``< 0.001``."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def ordered(group: Group, conditions: Sequence[Condition], key: str) -> list[Model]:
    """Models by ``rank``, ``name``, ``method`` or ``backbone``, or by their result under a condition, the best first.

    Args:
        group: Whose models.
        conditions: Those that are compared.
        key: One of these words, or ``EVALUATOR/TARGET/METRIC/LABELS``.

    Raises:
        UserError: The key is none of these.
    """
    models = list(group.models)
    if key in ("name", "method", "backbone"):
        return sorted(models, key=lambda model: (getattr(model, key), model.name))
    if key == "rank":
        means = mean_ranks(group, conditions)
        return sorted(models, key=lambda model: means.get(model.name, len(models) + 1.0))
    known = {f"{one.evaluator}/{one.target}/{one.metric}/{one.labels}": one for one in conditions}
    if key not in known:
        raise UserError(f"--sort {key}: give rank, name, method, backbone, or one of {', '.join(known)}")

    def worst_last(model: Model) -> float:
        scores = model.scores.get((TRAINED, known[key]))
        return float("inf") if scores is None else -float(goodness(known[key].metric, scores.replicates[0]).mean())

    return sorted(models, key=worst_last)


def _cell(model: Model | None, condition: Condition, strong: set[str]) -> Cell:
    scores = model and model.scores.get((TRAINED, condition))
    if model is None or not scores:
        return Cell("-")
    return Cell(_text(scores, condition) + COLLAPSED * bool(model.collapsed), model.name in strong)


def _text(scores: Scores, condition: Condition) -> str:
    return with_interval(*scores.interval(condition.metric)[:3])


def _reference(group: Group, encoder: str, condition: Condition, backbone: str) -> Scores | None:
    """Of the first model of a backbone that has it."""
    models = (model for model in group.models if model.backbone == backbone)
    return next(filter(None, (model.baseline(encoder, condition) for model in models)), None)
