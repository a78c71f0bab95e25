"""Models against their untrained or supervised baseline: paired differences, and label efficiency."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import evolve, frozen

from ..components import UserError, derive_seed
from ..evaluation.efficiency import Efficiency, label_efficiency
from .matrix import number, p_text, with_interval
from .models import TRAINED, Group, Model
from .scores import Array, Condition, Scores, goodness, paired
from .sheet import Cell, Sheet, sheet
from .significance import Difference, corrected, difference


@frozen(eq=False)
class Against:
    """A model's result beside its baseline's, at the seeds and draws of both.

    Attributes:
        model: The model.
        condition: Of both.
        trained, baseline: Their scores.
        difference: Trained less baseline; its p-value is adjusted for all that are shown.
    """

    model: Model
    condition: Condition
    trained: Scores
    baseline: Scores
    difference: Difference


def against(group: Group, encoder: str, conditions: Sequence[Condition], models: Sequence[Model]) -> list[Against]:
    """Each model against its baseline (:meth:`Group.baseline`) under each condition that both have.

    Raises:
        UserError: There is no such baseline.
    """
    found = []
    for condition in conditions:
        for model in models:
            trained = model.scores.get((TRAINED, condition))
            baseline = group.baseline(model, encoder, condition)
            if trained is None or baseline is None:
                continue
            one = difference((model.name, encoder), condition.metric, trained, baseline)
            if one is not None:
                found.append(Against(model, condition, trained, baseline, one))
    if not found:
        remedy = ": add [evaluate.supervised] to the spec and run it again" if encoder == "supervised" else ""
        raise UserError(
            f"{group.title}: no {encoder} encoder was measured like a trained one, at a common seed{remedy}"
        )
    adjusted = corrected([one.difference for one in found])
    return [evolve(one, difference=better) for one, better in zip(found, adjusted, strict=True)]


def against_sheet(encoder: str, rows: Sequence[Against]) -> Sheet:
    """Paired differences to a baseline."""
    lines: list[list[str | Cell]] = []
    for one in rows:
        change = one.difference
        verdict = ("better" if change.better else "worse") if change.significant else "-"
        lines.append(
            [
                one.condition.title,
                one.model.name,
                number(one.trained.value),
                number(one.baseline.value),
                Cell(with_interval(change.value, change.low, change.high), change.significant),
                p_text(change.p),
                verdict,
            ]
        )
    columns = ("", "model", "trained", encoder, "difference", "p (Holm)", "verdict")
    note = "Differences are those at the seeds and draws that both have, which the means may not be of alone."
    return sheet(f"Against {encoder}: paired differences", columns, lines, words=2, note=note)


@frozen(eq=False)
class Gain:
    """Label efficiencies of a model by one evaluator's metric of a target."""

    model: Model
    condition: Condition
    efficiencies: tuple[Efficiency, ...]


def gains(group: Group, encoder: str, conditions: Sequence[Condition], models: Sequence[Model]) -> list[Gain]:
    """How many times fewer labels each model needs for the baseline's results.

    Raises:
        UserError: No model has results at two label budgets and a baseline.
    """
    found = []
    series = dict.fromkeys(evolve(condition, labels=0) for condition in conditions if condition.labels)
    for one in series:
        budgets = [condition for condition in conditions if evolve(condition, labels=0) == one and condition.labels]
        for model in models:
            mine, theirs = _curves(group, encoder, model, budgets)
            if len(mine) > 1 and theirs:
                rng = np.random.default_rng(derive_seed(0, "efficiency", one.target, one.metric))
                found.append(Gain(model, one, tuple(label_efficiency(mine, theirs, rng))))
    if not found:
        raise UserError(
            f"{group.title}: label efficiency needs results at two label budgets or more, and a {encoder} baseline at "
            "one: give labels.budgets more of them, or choose another --baseline"
        )
    return found


def gains_sheet(encoder: str, rows: Sequence[Gain]) -> Sheet:
    """Label efficiencies: a row for each number of labels of the baseline."""
    lines = [
        [one.condition.title, one.model.name, str(labels.labels), labels.text()]
        for one in rows
        for labels in one.efficiencies
    ]
    note = f"2 means: half of the labels give the {encoder} result. > and < stand at the ends of the label budgets."
    columns = ("", "model", f"{encoder} labels", "times fewer labels")
    return sheet(f"Label efficiency against {encoder}", columns, lines, words=2, note=note)


def _curves(
    group: Group, encoder: str, model: Model, budgets: Sequence[Condition]
) -> tuple[dict[int, Array], dict[int, Array]]:
    """Goodness by labels of the model and of its baseline, paired where both were measured."""
    mine: dict[int, Array] = {}
    theirs: dict[int, Array] = {}
    for condition in budgets:
        trained = model.scores.get((TRAINED, condition))
        baseline = group.baseline(model, encoder, condition)
        if trained is None:
            continue
        both = paired([trained, baseline]) if baseline is not None else None
        mine[condition.labels] = goodness(condition.metric, both[0] if both else trained.table)
        if both:
            theirs[condition.labels] = goodness(condition.metric, both[1])
    return mine, theirs
