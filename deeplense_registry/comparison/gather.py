"""Runs gathered into models, and models into groups."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from typing import Any

from ..components import UserError
from ..engine.folder import RunFolder
from ..interfaces import Measurement
from ..spec.model import digest_of
from .identity import TRAINED_BY, digest_of_tables, labels_of
from .models import Group, Model, Run
from .scores import Condition, Scores, joined

_MODEL = ("dataset", "backbone", "skew", *TRAINED_BY)
"""Tables of a spec that make two runs different models."""
_NEEDED = ("dataset", "method", "backbone", "seed", "status")


def gather(folders: Sequence[RunFolder]) -> tuple[list[Group], list[str]]:
    """The groups that the runs make, and what the reader should be warned of.

    Raises:
        UserError: A file of a run is damaged or of another version, or no run has measurements.
    """
    warnings: list[str] = []
    runs = [run for folder in folders if (run := _read(folder, warnings)) is not None]
    if not runs:
        raise UserError(
            "\n".join(
                [*warnings, "no measurements yet: the runs are unfinished, or their spec has no [evaluate] table"]
            )
        )
    by_data: dict[str, list[Run]] = {}
    for run in runs:
        by_data.setdefault(run.data, []).append(run)
    titles = _titles([several[0] for several in by_data.values()])
    groups = [Group(title, _models(several, warnings)) for title, several in zip(titles, by_data.values(), strict=True)]
    return groups, [*warnings, *_apart(list(by_data.values()), titles)]


def _read(folder: RunFolder, warnings: list[str]) -> Run | None:
    manifest, measurements = folder.manifest() or {}, folder.measurements()
    if absent := [name for name in _NEEDED if name not in manifest]:
        raise UserError(
            f"{folder.path}/manifest.json: no {absent[0]!r} in it: half-written; delete the run and repeat it"
        )
    if not measurements:
        why = "without [evaluate]" if measurements == () else f"{manifest['status']}, not evaluated"
        warnings.append(f"{folder.path}: no measurements ({why}); left out")
        return None
    for one in measurements:
        if one.replicates is not None and (one.replicates.ndim != 2 or one.replicates.shape[1] != one.repeats):
            raise UserError(
                f"{folder.path}/replicates.npz: {one.key} has shape {one.replicates.shape}, not (1 + resamples, "
                f"{one.repeats}): it is of another evaluation than measurements.json; evaluate the run again"
            )
    spec = _spec(folder)
    labels = labels_of(spec)
    images = manifest.get("shards") or manifest["dataset"]
    return Run(
        folder=folder,
        manifest=manifest,
        model=digest_of_tables(spec, _MODEL),
        data=digest_of({"images": images, "labels": labels}),
        labels=labels,
        measurements=tuple(one for one in measurements if one.split == "test"),
    )


def _spec(folder: RunFolder) -> dict[str, Any]:
    path = folder.path / "spec.toml"
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"{path}: missing: the run is half-written; delete the folder and run again") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: damaged ({error}); delete the folder and run again") from error


def _titles(firsts: Sequence[Run]) -> list[str]:
    """Of groups: the data set, and how the labels differ where one data set makes several."""
    titles = []
    for run in firsts:
        name = run.manifest["dataset"]
        rivals = [other for other in firsts if other.manifest["dataset"] == name and other is not run]
        differing = [key for key in run.labels if any(other.labels[key] != run.labels[key] for other in rivals)]
        words = [f"labels.{key} = {run.labels[key]}" if key != "skew" else f"skew {_skew(run)}" for key in differing]
        if rivals and not differing:
            words = [f"images {str(run.manifest.get('shards'))[:8]}"]
        titles.append(", ".join([name, *words]))
    return titles


def _skew(run: Run) -> str:
    skew = run.labels["skew"]
    return "none" if skew is None else f"of {skew['target']} on {skew['on']} ({digest_of(skew)[:6]})"


def _apart(groups: Sequence[Sequence[Run]], titles: Sequence[str]) -> Iterator[str]:
    if len(groups) > 1:
        listed = "; ".join(
            f"{title} ({len(runs)} {'run' if len(runs) == 1 else 'runs'})"
            for title, runs in zip(titles, groups, strict=True)
        )
        yield f"the runs were judged on different images or labels and are compared within each alone: {listed}"


def _models(runs: Sequence[Run], warnings: list[str]) -> tuple[Model, ...]:
    by_model: dict[str, dict[int, list[Run]]] = {}
    for run in runs:
        by_model.setdefault(run.model, {}).setdefault(int(run.manifest["seed"]), []).append(run)
    named = [_names(next(iter(seeds.values()))[0]) for seeds in by_model.values()]
    models = []
    for (method, backbone), seeds in zip(named, by_model.values(), strict=True):
        if named.count((method, backbone)) > 1:
            method = f"{method} ({_apart_by(seeds, by_model)})"
        collapsed = tuple(sorted(seed for seed, same in seeds.items() if same[0].manifest.get("collapsed")))
        model = Model(f"{method}-{backbone}", method, backbone, tuple(sorted(seeds)), collapsed)
        model.scores |= _scores(seeds, warnings)
        models.append(model)
    return tuple(models)


def _names(run: Run) -> tuple[str, str]:
    return run.manifest["method"], run.manifest["backbone"]


def _apart_by(seeds: dict[int, list[Run]], by_model: dict[str, dict[int, list[Run]]]) -> str:
    """What tells a model from others of its name: the folder of its spec, or that and its own."""
    path = next(iter(seeds.values()))[0].folder.path
    parents = [{run.folder.path.parent.name for same in other.values() for run in same} for other in by_model.values()]
    alone = sum(path.parent.name in names for names in parents) == 1
    return path.parent.name if alone else f"{path.parent.name}/{path.name}"


def _scores(seeds: dict[int, list[Run]], warnings: list[str]) -> dict[tuple[str, Condition], Scores]:
    found: dict[tuple[str, Condition], dict[int, Measurement]] = {}
    for seed, same in seeds.items():
        for run in same:
            for one in run.measurements:
                key = one.encoder, Condition(one.evaluator, one.target, one.metric, one.labels)
                found.setdefault(key, {}).setdefault(seed, one)
        if len(same) > 1:
            paths = " and ".join(str(run.folder.path) for run in same)
            warnings.append(f"{paths} are the same model and seed; what both measured is taken from the first")
    return {key: joined(measured) for key, measured in found.items()}
