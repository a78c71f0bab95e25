"""A comparison as numbers: rows for CSV, a document for JSON."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from math import isfinite
from typing import Any

from attrs import asdict

from .against import Against, Gain
from .models import Group, Model
from .scores import Condition
from .significance import Difference, mean_ranks

Row = dict[str, Any]


def score_rows(group: Group, conditions: Sequence[Condition], models: Sequence[Model]) -> list[Row]:
    """Every encoder's result under each condition."""
    rows = []
    for condition in _with_baselines(conditions, models):
        for model in models:
            for (encoder, other), scores in model.scores.items():
                if other == condition:
                    value, low, high, _ = scores.interval(condition.metric)
                    measured = {"encoder": encoder, "value": value, "low": low, "high": high}
                    counts = {"seeds": len(scores.seeds), "draws": scores.draws}
                    rows.append({**_head(group, model, condition), **measured, **counts})
    return rows


def against_rows(group: Group, encoder: str, rows: Sequence[Against]) -> list[Row]:
    """Paired differences to a baseline."""
    return [
        {
            **_head(group, one.model, one.condition),
            "baseline": encoder,
            **_numbers(one.difference),
        }
        for one in rows
    ]


def gain_rows(group: Group, encoder: str, rows: Sequence[Gain]) -> list[Row]:
    """Label efficiencies; a factor beyond ``least`` or ``most``, the limits of the budgets, is left out."""
    found = []
    for one in rows:
        for labels in one.efficiencies:
            known = {name: value if isfinite(value) and value else None for name, value in labels._asdict().items()}
            beyond = "" if known["value"] is not None else "more" if labels.value else "less"
            head = {**_head(group, one.model, one.condition), "labels": labels.labels, "baseline": encoder}
            found.append({**head, "factor": known["value"], "beyond": beyond, **{k: known[k] for k in _ENDS}})
    return found


_ENDS = ("low", "high", "least", "most")


def document(
    group: Group,
    conditions: Sequence[Condition],
    models: Sequence[Model],
    differences: Mapping[Condition, Sequence[Difference]],
    overall: Sequence[Difference],
) -> dict[str, Any]:
    """All of a group's comparison."""
    means = mean_ranks(group, conditions)
    return {
        "data": group.title,
        "models": [
            {
                "name": model.name,
                "method": model.method,
                "backbone": model.backbone,
                "seeds": list(model.seeds),
                "collapsed": list(model.collapsed),
                "mean_rank": means.get(model.name),
            }
            for model in models
        ],
        "scores": score_rows(group, conditions, models),
        "differences": [
            {**asdict(condition), **_names(one), **_numbers(one)}
            for condition, several in differences.items()
            for one in several
        ],
        "overall": [{**_names(one), **_numbers(one)} for one in overall],
    }


def as_csv(rows: Sequence[Row]) -> str:
    """With a line of names; nothing for no rows."""
    text = StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


def _with_baselines(conditions: Sequence[Condition], models: Sequence[Model]) -> list[Condition]:
    """And those of the same targets, metrics and budgets under which only a supervised network was measured."""
    wanted = {(one.target, one.metric, one.labels) for one in conditions}
    others = {
        condition: None
        for model in models
        for encoder, condition in model.scores
        if encoder == "supervised" and (condition.target, condition.metric, condition.labels) in wanted
    }
    return list(dict.fromkeys([*conditions, *others]))


def _head(group: Group, model: Model, condition: Condition) -> Row:
    return {"data": group.title, **asdict(condition), "method": model.method, "backbone": model.backbone}


def _names(one: Difference) -> Row:
    return {"one": one.one, "other": one.other}


def _numbers(one: Difference) -> Row:
    return {"difference": one.value, "low": one.low, "high": one.high, "p": one.p, "significant": one.significant}
