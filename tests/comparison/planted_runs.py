"""Run folders with planted results, as an engine would have left them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deeplense_registry.engine.folder import RunFolder
from deeplense_registry.evaluation.intervals import interval_of
from deeplense_registry.interfaces import Measurement
from deeplense_registry.spec.write import to_toml

RESAMPLES = 100


def rng_of(*key: Any) -> np.random.Generator:
    """The same for the same key."""
    return np.random.default_rng(list(repr(key).encode()))


def scores(
    level: float, *, model: str, seed: int, budget: int, draws: int, label_seed: int = 0, own: float = 0.004
) -> np.ndarray:
    """(1 + R, draws) around ``level``: draws and images that all models share, and noise of the model's own."""
    draw = rng_of("draw", label_seed, budget).normal(size=50)[:draws] * 0.02
    images = rng_of("images", label_seed, budget).normal(size=(1 + RESAMPLES, 1)) * 0.02
    mine = rng_of(model, seed, budget).normal(size=50)[:draws] * own
    shaken = rng_of(model, seed, budget, "images").normal(size=(1 + RESAMPLES, 1)) * own
    return level + draw + mine + rng_of(model, seed).normal() * own / 2 + images + shaken


def measurement(table: np.ndarray, **names: Any) -> Measurement:
    value, low, high, _ = interval_of(table)
    return Measurement(value=value, low=low, high=high, repeats=table.shape[1], replicates=table, **names)


def plant(
    folder: Path,
    measurements: list[Measurement] | None,
    *,
    method: str = "simclr",
    backbone: str = "levit",
    seed: int = 0,
    manifest: Mapping[str, Any] | None = None,
    spec: Mapping[str, Any] | None = None,
) -> RunFolder:
    """A run folder with these measurements; ``None``: not evaluated yet."""
    run = RunFolder(folder)
    folder.mkdir(parents=True)
    about = {"name": folder.name, "status": "finished", "dataset": "lenses", "method": method, "backbone": backbone}
    about |= {"seed": seed, "shards": "5a" * 32, "collapsed": False, "collapse": "", "digest": "", "plugins": []}
    run.write_manifest({**about, **(manifest or {})})
    document: dict[str, Any] = {
        "run": {"name": "planted", "seeds": [seed]},
        "dataset": {"lenses": {"use": "lenses", "train": 4000}},
        "method": {method: {"use": method}},
        "backbone": {backbone: {"use": backbone}},
        "train": {"epochs": 2},
        "labels": {"budgets": [30, 300], "draws": 5, "seed": 0, "stratified": True},
    }
    (folder / "spec.toml").write_text(to_toml({**document, **(spec or {})}))
    if measurements is not None:
        run.write_measurements(measurements)
    return run


def survey(
    root: Path,
    level: Callable[[str, str, int], float],
    *,
    methods: tuple[str, ...] = ("dino", "simclr", "swav"),
    backbones: tuple[str, ...] = ("cvt", "levit"),
    seeds: tuple[int, ...] = (0, 1, 2),
    budgets: tuple[int, ...] = (30, 300),
    draws: int = 5,
    **more: Any,
) -> list[RunFolder]:
    """Runs of every method, backbone and seed; ``level(method, backbone, labels)`` is the planted AUROC.

    The untrained encoder is at .55; a supervised network, of two draws, at .70 and .78.
    """
    runs = []
    for method in methods:
        for backbone in backbones:
            for seed in seeds:
                rows = []
                for labels in budgets:
                    who = {"seed": seed, "budget": labels, "draws": draws}
                    names = {"target": "class", "metric": "auroc", "labels": labels}
                    name = f"{method}-{backbone}"
                    own = scores(level(method, backbone, labels), model=name, **who)
                    rows.append(measurement(own, evaluator="linear", encoder="trained", **names))
                    none = scores(0.55, model=f"untrained-{backbone}", **who)
                    rows.append(measurement(none, evaluator="linear", encoder="untrained", **names))
                    taught = scores(
                        0.70 if labels < 100 else 0.78, model=f"supervised-{backbone}", **{**who, "draws": 2}
                    )
                    rows.append(measurement(taught, evaluator="supervised", encoder="supervised", **names))
                folder = root / "planted" / f"{name}-s{seed}"
                runs.append(plant(folder, rows, method=method, backbone=backbone, seed=seed, **more))
    return runs
