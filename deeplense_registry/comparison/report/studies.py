"""Runs sorted into studies: models that were judged on the same images with the same labels."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import Any

import attrs
from attrs import frozen

from ...spec.model import digest_of
from ..models import Group, Model, gather
from ..scores import Condition
from .collect import Run

_TRAINED_BY = ("method", "views", "flux", "train")
"""Tables that make two methods of one name different."""
_LABELLED_BY = ("seed", "stratified", "index")
"""Keys of [labels] that make labels different."""


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


def studies_of(runs: Sequence[Run]) -> tuple[list[Study], list[str]]:
    """The studies that the runs make, and what a reader should be warned of; what is not known is in none."""
    by_data: dict[str, list[Run]] = {}
    for run in runs:
        if run.known:
            by_data.setdefault(_data(run, runs), []).append(run)
    warnings: list[str] = []
    titles = _titles([several[0] for several in by_data.values()])
    made = [_study(title, several, warnings) for title, several in zip(titles, by_data.values(), strict=True)]
    if len(made) > 1:
        listed = "; ".join(f"{study.title} ({sum(len(one.runs) for one in study.members)} runs)" for study in made)
        warnings.append(f"the runs are of different images or labels; they are compared within each alone: {listed}")
    return made, warnings


def _study(title: str, runs: Sequence[Run], warnings: list[str]) -> Study:
    by_model: dict[tuple[str, str], list[Run]] = {}
    methods, backbones = _labels_of(runs, "method", _TRAINED_BY), _labels_of(runs, "backbone", ("backbone",))
    for run in runs:
        by_model.setdefault((methods[id(run)], backbones[id(run)]), []).append(run)
    members = sorted(
        (_member(*names, several, warnings) for names, several in by_model.items()),
        key=lambda one: (one.method, one.backbone),
    )
    return Study(title, tuple(members), Group(title, tuple(one.model for one in members if one.model)))


def _labels_of(runs: Sequence[Run], kind: str, tables: Sequence[str]) -> dict[int, str]:
    """What each run's method or backbone is called: as in its spec, or more where others of that name are different."""
    digests = {id(run): digest_of({name: _options(run.spec.get(name)) for name in tables}) for run in runs}
    variants: dict[str, set[str]] = {}
    for run in runs:
        variants.setdefault(run.manifest[kind], set()).add(digests[id(run)])
    return {
        id(run): name if len(variants[name]) == 1 else f"{name} ({run.folder.path.parent.name} {digests[id(run)][:4]})"
        for run in runs
        for name in [run.manifest[kind]]
    }


def _member(method: str, backbone: str, runs: Sequence[Run], warnings: list[str]) -> Member:
    measured = [run.folder for run in runs if run.measured]
    if not measured:
        return Member(method, backbone, tuple(runs), None)
    groups, told = gather(measured)
    warnings += told
    (model,) = (model for group in groups for model in group.models)
    named = attrs.evolve(model, name=f"{method}-{backbone}", method=method, backbone=backbone)
    return Member(method, backbone, tuple(runs), named)


def _data(run: Run, runs: Sequence[Run]) -> str:
    """A digest of images and labels. An unfinished run, whose images are not known, is with others of its table."""
    return digest_of({"images": _images(run, runs), "labels": _labels(run)})


def _images(run: Run, runs: Sequence[Run]) -> str:
    known = run.manifest.get("shards")
    alike = (one.manifest.get("shards") for one in runs if one.known and _table(one) == _table(run))
    return str(known or next(filter(None, alike), None) or digest_of({"table": _table(run)}))


def _table(run: Run) -> Any:
    return _options(run.spec.get("dataset"))


def _labels(run: Run) -> dict[str, Any]:
    labels = run.spec.get("labels", {})
    return {name: labels.get(name) for name in _LABELLED_BY} | {"skew": run.spec.get("skew")}


def _options(table: Any) -> Any:
    """Without what a component's table is called."""
    nested = isinstance(table, dict) and all(isinstance(inner, dict) for inner in table.values())
    return list(table.values()) if nested else table


def _titles(firsts: Sequence[Run]) -> list[str]:
    """The data set's name, with a skew, and a digest of the rest where two would be called the same."""
    names = [run.manifest["dataset"] + _skewed(run) for run in firsts]
    whole = [digest_of({"images": _images(run, firsts), "labels": _labels(run)})[:6] for run in firsts]
    return [f"{name} ({rest})" if names.count(name) > 1 else name for name, rest in zip(names, whole, strict=True)]


def _skewed(run: Run) -> str:
    skew = run.spec.get("skew")
    return f", {skew['target']} skewed on {skew['on']}" if skew else ""


def _cost(run: Run, name: str) -> float | None:
    if name == "minutes":
        return run.history.seconds / 60
    value: float | None = run.parameters if name == "parameters" else run.history.images_per_second
    return value
