"""Who leads, and who beats an untrained encoder: the sentences at the top of a report."""

from __future__ import annotations

from attrs import frozen

from ..matrix import among_the_best
from ..models import TRAINED, UNTRAINED, Group, Model
from ..scores import Condition, goodness
from ..significance import Difference, corrected, difference, judged, pairwise
from .study import Member, Study


@frozen(eq=False)
class Verdict:
    """What one condition says.

    Attributes:
        condition: The condition.
        leader: The model with the best score.
        alike: Names of the leader and of the models that do not differ from it significantly (Holm).
        beating: Names of the models that are significantly (5 %, paired) better than their untrained encoder.
        models: How many were measured.
        judged: How many of them beside their untrained encoder.
    """

    condition: Condition
    leader: Model
    alike: frozenset[str]
    beating: frozenset[str]
    models: int
    judged: int


def verdict(group: Group, condition: Condition) -> Verdict:
    """The verdict on a condition under which something trained was measured."""
    models = judged(group, condition)
    leader = max(models, key=lambda model: goodness_of(model, condition))
    alike = among_the_best(condition, pairwise(group, condition), models) or {leader.name}
    gains = {model.name: found for model in models if (found := gain(group, model, condition)) is not None}
    beating = frozenset(name for name, found in gains.items() if found.significant and found.better)
    return Verdict(condition, leader, frozenset(alike), beating, len(models), len(gains))


def goodness_of(model: Model, condition: Condition) -> float:
    """The mean score of the trained encoder, turned so that more is better."""
    return float(goodness(condition.metric, model.scores[TRAINED, condition].replicates[0]).mean())


def gain(group: Group, model: Model, condition: Condition) -> Difference | None:
    """Of the trained encoder over the untrained one, paired; ``None`` where that cannot be told."""
    trained, untrained = model.scores.get((TRAINED, condition)), group.baseline(model, UNTRAINED, condition)
    if trained is None or untrained is None or min(len(trained.replicates), len(untrained.replicates)) < 2:
        return None
    return difference((TRAINED, UNTRAINED), condition.metric, trained, untrained)


def sound(study: Study) -> list[Member]:
    """The members that did not collapse and beat their untrained encoder at some target and number of labels.

    Of each target the headline's evaluator and metric count; p-values are adjusted for all of a model's comparisons.
    """
    conditions = [condition for task in study.headlines for condition in task.conditions]
    found = []
    for member in study.members:
        model = member.model
        gains = [one for condition in conditions if model and (one := gain(study.group, model, condition))]
        if not member.collapsed and any(one.significant and one.better for one in corrected(gains)):
            found.append(member)
    return found
