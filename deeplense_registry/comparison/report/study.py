"""A study: models that were judged on the same images with the same labels, and what was measured."""

from __future__ import annotations

from statistics import mean

from attrs import frozen

from ...spec.model import digest_of
from ..models import Group, Model
from ..scores import Condition
from .collect import Run


@frozen(eq=False)
class Member:
    """A model with its runs, a run a seed.

    Attributes:
        method, backbone: What it is called, apart from every other in its study.
        runs: Whatever there is of it, finished or not.
        model: Its scores, or ``None`` where nothing is measured.
    """

    method: str
    backbone: str
    runs: tuple[Run, ...]
    model: Model | None

    @property
    def name(self) -> str:
        """``method-backbone``."""
        return f"{self.method}-{self.backbone}"

    @property
    def collapsed(self) -> bool:
        """Whether a run of it collapsed."""
        return any(run.manifest.get("collapsed") for run in self.runs)

    def cost(self, name: str) -> float | None:
        """The mean over runs of ``images_per_second``, ``minutes`` of training or ``parameters``, where known."""
        values = [value for run in self.runs if (value := _cost(run, name))]
        return mean(values) if values else None


@frozen
class Task:
    """An evaluator's metric of a target.

    Attributes:
        conditions: One for each number of labels, ascending.
    """

    conditions: tuple[Condition, ...]

    @property
    def target(self) -> str:
        """What is predicted; empty where nothing is."""
        return self.conditions[0].target

    @property
    def metric(self) -> str:
        """Its usual name."""
        return self.conditions[0].metric

    @property
    def axis(self) -> str:
        """``class auroc``."""
        return f"{self.target} {self.metric}".strip().replace("_", " ")

    @property
    def title(self) -> str:
        """``class: auroc (linear)``."""
        first = self.conditions[0]
        what = f"{first.target}: {first.metric}" if first.target else first.metric
        return f"{what} ({first.evaluator})".replace("_", " ")


@frozen(eq=False)
class Study:
    """Members judged alike.

    Attributes:
        title: The data set, and what tells it from other studies.
        members: Method by method.
        group: The members that were measured, for comparison.
    """

    title: str
    members: tuple[Member, ...]
    group: Group

    @property
    def anchor(self) -> str:
        """What a link to it is called."""
        return "study-" + digest_of({"title": self.title})[:8]

    @property
    def methods(self) -> list[str]:
        """In the order of the members."""
        return list(dict.fromkeys(one.method for one in self.members))

    @property
    def backbones(self) -> list[str]:
        """In the order of the members."""
        return list(dict.fromkeys(one.backbone for one in self.members))

    @property
    def tasks(self) -> list[Task]:
        """What was measured, in the order of the spec's evaluators."""
        found: dict[tuple[str, str, str], list[Condition]] = {}
        for one in self.group.conditions():
            found.setdefault((one.evaluator, one.target, one.metric), []).append(one)
        return [Task(tuple(several)) for several in found.values()]

    @property
    def headlines(self) -> list[Task]:
        """Of each target the first task that learns from labels."""
        first: dict[str, Task] = {}
        for task in self.tasks:
            if task.target and task.conditions[-1].labels:
                first.setdefault(task.target, task)
        return list(first.values())


def _cost(run: Run, name: str) -> float | None:
    if name == "minutes":
        return run.history.seconds / 60
    value: float | None = run.parameters if name == "parameters" else run.history.images_per_second
    return value
