"""The whole comparison of runs: what is chosen, tested and shown."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from attrs import define, frozen

from ..components import UserError
from ..engine.folder import RunFolder
from . import records
from .against import against, against_sheet, gains, gains_sheet
from .critical import critical_difference_figure
from .gather import gather
from .matrix import HEADLINE, matrix, ordered, pairs, ranks
from .models import Group, Model
from .scores import Condition
from .sheet import Sheet
from .significance import Difference, everywhere, mean_ranks, overall, pairwise


@frozen
class Choice:
    """What is compared: by default the headline metrics, of every evaluator, target and label budget.

    Attributes:
        metrics, evaluators, targets, labels: Those alone.
        sort: The order of models, as of :func:`.matrix.ordered`.
    """

    metrics: tuple[str, ...] = ()
    evaluators: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    labels: tuple[int, ...] = ()
    sort: str = "rank"

    def of(self, conditions: Sequence[Condition]) -> list[Condition]:
        """The chosen ones.

        Raises:
            UserError: A name or number is none of theirs, or nothing is left.
        """
        for option, wanted in (
            ("metric", self.metrics),
            ("evaluator", self.evaluators),
            ("target", self.targets),
            ("labels", self.labels),
        ):
            known = dict.fromkeys(getattr(one, option) for one in conditions)
            for value in wanted:
                if value not in known:
                    names = ", ".join(str(name) for name in known if name != "") or "none"
                    raise UserError(f"--{option} {value}: the runs have {names}")
        left = [
            one
            for one in conditions
            if one.metric in (self.metrics or HEADLINE)
            and (not self.evaluators or one.evaluator in self.evaluators)
            and (not self.targets or one.target in self.targets)
            and (not self.labels or one.labels in self.labels)
        ]
        if not left:
            metrics = ", ".join(dict.fromkeys(one.metric for one in conditions))
            asked = " or ".join(self.metrics or HEADLINE)
            raise UserError(f"nothing of {asked} to compare; the runs have {metrics}: choose with --metric")
        return left


@define(eq=False, slots=False)
class Comparison:
    """Of the models of one group.

    Attributes:
        group: The models.
        conditions: Those that are compared.
        models: In the order that was asked for.
    """

    group: Group
    conditions: Sequence[Condition]
    models: Sequence[Model]

    @cached_property
    def differences(self) -> dict[Condition, list[Difference]]:
        """Of all pairs, by condition; p-values by Holm in each."""
        return {condition: pairwise(self.group, condition) for condition in self.conditions}

    @cached_property
    def overall(self) -> list[Difference]:
        """Of all pairs, over all conditions; p-values by Holm."""
        return overall(self.group, self.conditions)

    def matrices(self) -> list[Sheet]:
        """Methods by backbones, for each condition."""
        return [matrix(self.group, one, self.differences[one], self.models) for one in self.conditions]

    def rank_sheets(self) -> list[Sheet]:
        """Mean ranks, where there are models to rank."""
        found = ranks(self.group, self.conditions, self.overall)
        return [] if found is None else [found]

    def pair_sheets(self) -> list[Sheet]:
        """Paired differences of all models, for each condition."""
        return [pairs(one, self.differences[one]) for one in self.conditions]

    def against_sheet(self, encoder: str) -> Sheet:
        """Paired differences to a baseline."""
        return against_sheet(encoder, against(self.group, encoder, self.conditions, self.models))

    def gains_sheet(self, encoder: str) -> Sheet:
        """Label efficiencies against a baseline."""
        return gains_sheet(encoder, gains(self.group, encoder, self.conditions, self.models))

    def score_rows(self) -> list[records.Row]:
        """Every encoder's results, as numbers."""
        return records.score_rows(self.group, self.conditions, self.models)

    def pair_rows(self) -> list[records.Row]:
        """Paired differences of all models, as numbers."""
        rows = self.document()["differences"]
        return [{"data": self.group.title, **row} for row in rows]

    def against_rows(self, encoder: str) -> list[records.Row]:
        """Paired differences to a baseline, as numbers."""
        return records.against_rows(self.group, encoder, against(self.group, encoder, self.conditions, self.models))

    def gain_rows(self, encoder: str) -> list[records.Row]:
        """Label efficiencies, as numbers."""
        return records.gain_rows(self.group, encoder, gains(self.group, encoder, self.conditions, self.models))

    def document(self) -> dict[str, Any]:
        """All of it for JSON."""
        return records.document(self.group, self.conditions, self.models, self.differences, self.overall)

    def draw(self, path: Path) -> None:
        """A critical-difference diagram.

        Raises:
            UserError: Fewer than two models were measured under all conditions, matplotlib is missing, or the suffix is
                of no kind of picture.
        """
        means = mean_ranks(self.group, self.conditions)
        if len(means) < 2:
            names = ", ".join(model.name for model in everywhere(self.group, self.conditions)) or "none"
            raise UserError(
                f"{self.group.title}: a critical-difference diagram needs two models measured under all conditions, "
                f"and there is {names}"
            )
        critical_difference_figure(means, self.overall, self.group.title, path)


def compare(folders: Sequence[RunFolder], choice: Choice) -> tuple[list[Comparison], list[str]]:
    """The comparisons of each group of runs, and what the reader should be warned of.

    Raises:
        UserError: As :func:`gather`, or the choice names what no run has.
    """
    groups, warnings = gather(folders)
    choice.of(list(dict.fromkeys(condition for group in groups for condition in group.conditions())))
    found = []
    for group in groups:
        conditions = group.conditions()
        try:
            conditions = choice.of(conditions)
        except UserError as error:
            if len(groups) == 1:
                raise
            warnings.append(f"{group.title}: {error}; left out")
            continue
        found.append(Comparison(group, conditions, ordered(group, conditions, choice.sort)))
        warnings += _unpaired(group)
    return found, warnings


def _unpaired(group: Group) -> list[str]:
    """Models that share no seed with the first."""
    first, *others = group.models
    apart = [other.name for other in others if not set(other.seeds) & set(first.seeds)]
    if not apart:
        return []
    return [
        f"{group.title}: {first.name} (seeds {_list(first.seeds)}) shares no seed with {', '.join(apart)}: their "
        "differences cannot be paired and are not tested; run the same run.seeds"
    ]


def _list(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))
