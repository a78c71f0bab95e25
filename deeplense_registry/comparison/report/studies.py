"""Runs sorted into studies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from ...spec.model import digest_of
from ..gather import gather
from ..identity import TRAINED_BY, digest_of_tables, labels_of, unnamed
from ..models import Group
from .collect import Run
from .study import Member, Study


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
    methods, backbones = _labels_of(runs, "method", TRAINED_BY), _labels_of(runs, "backbone", ("backbone",))
    for run in runs:
        by_model.setdefault((methods[id(run)], backbones[id(run)]), []).append(run)
    members = sorted(
        (_member(*names, several, warnings) for names, several in by_model.items()),
        key=lambda one: (one.method, one.backbone),
    )
    return Study(title, tuple(members), Group(title, tuple(one.model for one in members if one.model)))


def _labels_of(runs: Sequence[Run], kind: str, tables: Sequence[str]) -> dict[int, str]:
    """What each run's method or backbone is called: as in its spec, or more where others of that name are different."""
    digests = {id(run): digest_of_tables(run.spec, tables) for run in runs}
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
    return digest_of({"images": _images(run, runs), "labels": labels_of(run.spec)})


def _images(run: Run, runs: Sequence[Run]) -> str:
    known = run.manifest.get("shards")
    alike = (one.manifest.get("shards") for one in runs if one.known and _table(one) == _table(run))
    return str(known or next(filter(None, alike), None) or digest_of({"table": _table(run)}))


def _table(run: Run) -> Any:
    return unnamed(run.spec.get("dataset"))


def _titles(firsts: Sequence[Run]) -> list[str]:
    """The data set's name, with a skew, and a digest of the rest where two would be called the same."""
    names = [run.manifest["dataset"] + _skewed(run) for run in firsts]
    whole = [digest_of({"images": _images(run, firsts), "labels": labels_of(run.spec)})[:6] for run in firsts]
    return [f"{name} ({rest})" if names.count(name) > 1 else name for name, rest in zip(names, whole, strict=True)]


def _skewed(run: Run) -> str:
    skew = run.spec.get("skew")
    return f", {skew['target']} skewed on {skew['on']}" if skew else ""
