"""Which images a run trains on and which are labelled: chosen, published, read again, refused before training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from plugin_factory import make_plugin

from deeplense_registry import UserError
from deeplense_registry.engine.splits import LabelDraws, publish_training_images, training_shards
from deeplense_registry.shards import ShardSet
from deeplense_registry.spec import Cell, expand, load_spec

SPEC = """\
[dataset.blobs]
use = "shards"
path = "{shards}"
[method.contrast]
[backbone.toynet]
[evaluate.score]
[train]
batch_size = 24
[labels]
budgets = [12, "all"]
draws = 2
"""
SKEW = 'skew={target="class",ratio={one=1.0,two=0.25},on="%s"}'

MakeCell = Callable[..., Cell]


@pytest.fixture
def cell_of(plugin_folder: Path, blobs: Path, tmp_path: Path) -> MakeCell:
    """``cell_of(*overrides)``: a cell on 96 images: 41 of each class, 14 of neither."""
    for name, kind in (("toynet", "backbone"), ("contrast", "method"), ("score", "evaluator")):
        make_plugin(plugin_folder, name, kind)

    def make(*overrides: str) -> Cell:
        path = tmp_path / "spec.toml"
        path.write_text(SPEC.format(shards=blobs))
        (cell,) = expand(load_spec(path, overrides))
        return cell

    return make


def classes(shards: ShardSet, index: np.ndarray) -> list[int]:
    """Images of each class, the unknown first."""
    return np.bincount(shards.targets("train", "class")[index] + 1, minlength=3).tolist()


def test_what_is_trained_on(cell_of: MakeCell, blobs: Path) -> None:
    shards = ShardSet.open(blobs)
    assert training_shards(cell_of(), shards) is shards
    assert training_shards(cell_of(SKEW % "labels"), shards) is shards
    left = training_shards(cell_of(SKEW % "both"), shards)
    assert classes(left, np.arange(left.count("train"))) == [14, 41, 10]
    with pytest.raises(UserError, match=r"65 of 96 training images would be left, fewer than train\.batch_size = 90"):
        training_shards(cell_of(SKEW % "both", "train.batch_size=90"), shards)


@pytest.mark.parametrize("on", ["both", "labels"])
def test_labels_are_drawn_from_what_the_skew_leaves(cell_of: MakeCell, blobs: Path, tmp_path: Path, on: str) -> None:
    cell = cell_of(SKEW % on)
    shards = training_shards(cell, ShardSet.open(blobs))
    draws = LabelDraws(cell, shards, tmp_path / "splits")
    few, every = draws("class")
    assert [classes(shards, draw.index) for draw in few] == [[0, 10, 2]] * 2
    assert classes(shards, every[0].index) == [0, 41, 10]
    assert draws("class") is draws("class")
    (_, widths) = draws("width")
    assert len(widths[0].index) == 51  # the same images
    written = json.loads((tmp_path / "splits" / "labels-class.json").read_text())
    assert [row["counts"] for row in written["draws"]] == [*[{"one": 10, "two": 2}] * 2, {"one": 41, "two": 10}]
    assert written["draws"][0]["names"] == shards.names("train")[few[0].index].tolist()


def test_a_published_split_is_used_again(cell_of: MakeCell, blobs: Path, tmp_path: Path) -> None:
    shards = ShardSet.open(blobs)
    first = LabelDraws(cell_of(), shards, tmp_path / "first")
    published = [[draw.index.tolist() for draw in draws] for draws in first("class")]
    cell = cell_of(f'labels.index="{tmp_path / "first"}"', "labels.seed=7")
    again = LabelDraws(cell, shards, tmp_path / "again")
    assert [[draw.index.tolist() for draw in draws] for draws in again("class")] == published
    name = "labels-class.json"
    assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_what_could_not_be_labelled_is_refused_before_training(cell_of: MakeCell, blobs: Path, tmp_path: Path) -> None:
    shards = ShardSet.open(blobs)
    publish_training_images(cell_of(SKEW % "labels"), shards, tmp_path / "splits")
    assert json.loads((tmp_path / "splits" / "pretraining.json").read_text())["counts"]["class"] == {
        "one": 41,
        "two": 41,
    }
    with pytest.raises(UserError, match=r"^labels\.index: nowhere: no such file or folder"):
        publish_training_images(cell_of("labels.index=nowhere"), shards, tmp_path)
    with pytest.raises(UserError, match='none of the 41 training images of class "two" would be left'):
        publish_training_images(cell_of('skew={target="class",imbalance=1000,on="labels"}'), shards, tmp_path)
