"""Whole runs on skewed data: what is trained on and labelled, resumable and the same again, through the engine."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from plugin_factory import make_plugin

from deeplense_registry.engine import RunFolder

SKEW = 'skew={target="class",ratio={one=1.0,two=0.25},on="%s"}'

COUNT = """
from deeplense_registry import Evaluator, Measurement

class Implementation(Evaluator):
    \"\"\"Counts what it may use.\"\"\"

    def evaluate(self, bench):
        count = len(bench.embeddings("train"))
        yield Measurement(metric="images", value=count, low=count, high=count)
        for (draw,) in bench.draws("class"):
            value = float((bench.targets("train", "class")[draw.index] == 1).sum())
            yield Measurement(metric="two", target="class", labels=len(draw.index), value=value, low=value, high=value)
"""
MORE = ("evaluate.count={}", 'labels.budgets=[12, "all"]', "labels.draws=1")


@pytest.fixture
def counted(toy_run: Any, plugin_folder: Any) -> Any:
    make_plugin(plugin_folder, "count", "evaluator", implementation=COUNT)
    return lambda *overrides, name="run": toy_run("contrast", *MORE, *overrides, name=name)


def measured(folder: RunFolder) -> list[tuple[str, int, float]]:
    rows = folder.measurements() or ()
    return [(row.metric, row.labels, row.value) for row in rows if row.encoder == "trained"]


def pretrained_on(folder: RunFolder) -> dict[str, int]:
    counts: dict[str, int] = json.loads((folder.splits / "pretraining.json").read_text())["counts"]["class"]
    return counts


def bank_of(folder: RunFolder) -> int:
    newest = sorted(folder.checkpoints.glob("*.pt"))[-1]
    state = torch.load(newest, weights_only=True)
    return len(next(value for name, value in state["method"].items() if name.endswith("bank")))


@pytest.mark.parametrize(
    ("on", "images", "counts"), [("both", 65, {"one": 41, "two": 10}), ("labels", 96, {"one": 41, "two": 41})]
)
def test_a_run_on_skewed_data(counted: Any, on: str, images: int, counts: dict[str, int]) -> None:
    folder = counted(SKEW % on, 'train.probe=["class"]')
    assert measured(folder) == [("images", 0, images), ("two", 12, 2.0), ("two", 51, 10.0)]
    assert pretrained_on(folder) == counts
    assert bank_of(folder) == images  # a method's memory is of what it trains on
    again = counted(SKEW % on, 'train.probe=["class"]', name="again")
    names = [path.name for path in sorted(folder.splits.iterdir())]
    assert names == ["labels-class.json", "pretraining.json"]
    for name in ("splits/labels-class.json", "splits/pretraining.json", "encoder.safetensors", "measurements.json"):
        assert (folder.path / name).read_bytes() == (again.path / name).read_bytes()


def test_published_labels_give_the_same_measurements(counted: Any) -> None:
    folder = counted()
    again = counted(f'labels.index="{folder.splits}"', "labels.seed=5", name="again")
    assert measured(again) == measured(folder)
    name = "labels-class.json"
    assert (folder.splits / name).read_bytes() == (again.splits / name).read_bytes()
