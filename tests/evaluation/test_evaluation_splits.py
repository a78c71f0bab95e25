"""Index files: deterministic, complete, read back as they were drawn, and refused where they do not suit."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeplense_registry import UserError
from deeplense_registry.evaluation import (
    fingerprint,
    label_draws,
    label_pool,
    read_label_index,
    shards_digest,
    training_images,
    write_label_index,
    write_training_index,
)
from deeplense_registry.shards import ShardSet
from deeplense_registry.spec import LabelsTable, SkewTable
from tests.shards.shards_source import Toy, build

LABELS = LabelsTable(budgets=(6, 12, "all"), draws=2)
SKEW = SkewTable(target="class", ratio={"none": 1.0, "ring": 1.0, "arc": 0.5})


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    folder = tmp_path_factory.mktemp("shards")
    build(folder, Toy({"train": 60, "val": 12}))
    return ShardSet.open(folder)


def publish(folder: Path, shards: ShardSet, target: str = "class", labels: LabelsTable = LABELS) -> Path:
    classes = len(shards.card.targets[target].classes) or None
    drawn = label_draws(shards.targets("train", target), labels, target, classes=classes)
    return write_label_index(folder, target, zip(labels.budgets, drawn, strict=True), shards)


def indices(drawn: Any) -> list[list[list[int]]]:
    return [[draw.index.tolist() for draw in draws] for draws in drawn]


def test_a_label_index_says_what_is_labelled(tmp_path: Path, shards: ShardSet) -> None:
    path = publish(tmp_path, shards)
    content = json.loads(path.read_text())
    assert path.name == "labels-class.json"
    assert [(row["budget"], row["number"]) for row in content["draws"]] == [
        (6, 0),
        (6, 1),
        (12, 0),
        (12, 1),
        ("all", 0),
    ]
    names, targets = shards.names("train"), shards.targets("train", "class")
    for row in content["draws"]:
        assert row["names"] == names[row["positions"]].tolist()
        counts = np.bincount(targets[row["positions"]], minlength=3).tolist()
        assert row["counts"] == dict(zip(("none", "ring", "arc"), counts, strict=True))
        text = json.dumps([content["shards"], row["names"]], separators=(",", ":"))
        assert row["fingerprint"] == sha256(text.encode()).hexdigest()
    assert content["shards"] == shards_digest(shards.manifest)


def test_a_training_index_says_what_is_trained_on(tmp_path: Path, shards: ShardSet) -> None:
    left = training_images(SKEW, shards)
    content = json.loads(write_training_index(tmp_path, left).read_text())
    assert content["counts"] == {"class": {"none": 15, "ring": 15, "arc": 8}}
    assert content["positions"] == left.positions("train").tolist()
    assert content["names"] == shards.names("train")[content["positions"]].tolist()
    assert content["fingerprint"] == fingerprint(content["shards"], content["names"])
    whole = json.loads(write_training_index(tmp_path, shards).read_text())
    assert len(whole["names"]) == 60
    assert whole["shards"] == content["shards"]
    assert whole["fingerprint"] != content["fingerprint"]


def test_one_seed_gives_the_same_bytes(tmp_path: Path, shards: ShardSet) -> None:
    again = ShardSet.open(shards.folder)
    for write in (publish, lambda folder, of: write_training_index(folder, training_images(SKEW, of))):
        one, other = write(tmp_path / "one", shards), write(tmp_path / "other", again)
        assert one.read_bytes() == other.read_bytes()
    seeded = publish(tmp_path / "seeded", shards, labels=LabelsTable(budgets=(6, 12, "all"), draws=2, seed=1))
    assert seeded.read_bytes() != (tmp_path / "one" / "labels-class.json").read_bytes()


def test_the_digest_is_of_the_images_wherever_they_lie(tmp_path: Path, shards: ShardSet) -> None:
    build(tmp_path / "moved", Toy({"train": 60, "val": 12}), digest="of another path")
    assert shards_digest(ShardSet.open(tmp_path / "moved").manifest) == shards_digest(shards.manifest)
    build(tmp_path / "fewer", Toy({"train": 59, "val": 12}))
    assert shards_digest(ShardSet.open(tmp_path / "fewer").manifest) != shards_digest(shards.manifest)


@pytest.mark.parametrize("target", ["class", "theta_e"])
def test_what_was_published_is_read_back(tmp_path: Path, shards: ShardSet, target: str) -> None:
    path = publish(tmp_path, shards, target)
    classes = len(shards.card.targets[target].classes) or None
    drawn = indices(label_draws(shards.targets("train", target), LABELS, target, classes=classes))
    every = label_pool(None, shards)
    for place in (tmp_path, path):
        assert indices(read_label_index(place, target, LABELS, shards, every)) == drawn
    fewer = LabelsTable(budgets=("all", 12), draws=1)
    assert indices(read_label_index(tmp_path, target, fewer, shards, every)) == [drawn[2], drawn[1][:1]]


def test_labels_of_a_skewed_set_are_positions_in_it(tmp_path: Path, shards: ShardSet) -> None:
    left = training_images(SKEW, shards)
    path = publish(tmp_path, left, labels=LabelsTable(budgets=(6,), draws=1))
    row = json.loads(path.read_text())["draws"][0]
    assert row["names"] == shards.names("train")[row["positions"]].tolist()  # in the whole split
    only = LabelsTable(budgets=(6,), draws=1)
    (draws,) = read_label_index(path, "class", only, left, label_pool(SKEW, left))
    assert left.names("train")[draws[0].index].tolist() == row["names"]
    (draws,) = read_label_index(path, "class", only, shards, label_pool(None, shards))
    assert draws[0].index.tolist() == row["positions"]


def changed(path: Path, change: Callable[[Any], Any]) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps(change(content) or content))


def renamed(content: Any) -> None:
    content["draws"][0]["names"][0] = "train-nobody"


def dropped(content: Any) -> None:
    content["draws"][0]["names"].pop()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (renamed, ["draw 0 of the budget 6", "1 of its 6 images", "'train-nobody'", "the data set and the skew"]),
        (dropped, ["draw 0 of the budget 6", "fingerprint", "changed"]),
        (lambda content: content.update(target="theta_e"), ["'theta_e', not of 'class'"]),
        (
            lambda content: content.update(draws=content["draws"][:-1]),
            ["0 draws of the budget all", "1 are asked for", "(budgets: 6, 12)"],
        ),
        (lambda content: content.update(draws=content["draws"][1:]), ["1 draws of the budget 6", "2 are asked for"]),
        (lambda content: content.update(format=2), ["no label index of format 1"]),
        (lambda content: content["draws"].append({}), ["no label index"]),
        (lambda content: content["draws"].append(3), ["no label index"]),
        (lambda content: content.update(draws=None), ["no label index"]),
        (lambda content: [1], ["no label index"]),
    ],
)
def test_what_does_not_suit_is_refused(
    tmp_path: Path, shards: ShardSet, change: Callable[[Any], Any], words: list[str]
) -> None:
    path = publish(tmp_path, shards)
    changed(path, change)
    with pytest.raises(UserError) as refused:
        read_label_index(tmp_path, "class", LABELS, shards, label_pool(None, shards))
    assert all(word in str(refused.value) for word in [str(path), *words]), str(refused.value)


def test_labels_of_other_images_of_the_same_names_are_refused(tmp_path: Path, shards: ShardSet) -> None:
    publish(tmp_path, shards)
    build(tmp_path / "others", Toy({"train": 60, "val": 12}, side=6))
    others = ShardSet.open(tmp_path / "others")
    with pytest.raises(UserError, match="the images are others than those it was made for"):
        read_label_index(tmp_path, "class", LABELS, others, label_pool(None, others))


def test_labels_outside_the_pool_are_refused(tmp_path: Path, shards: ShardSet) -> None:
    publish(tmp_path, shards)
    with pytest.raises(UserError, match="images are not among the training images that may be labelled"):
        read_label_index(tmp_path, "class", LABELS, shards, np.arange(20))


def test_files_that_cannot_be_read_or_written(tmp_path: Path, shards: ShardSet) -> None:
    every = label_pool(None, shards)
    with pytest.raises(UserError, match=r"labels-class\.json: cannot read published labels \(No such file"):
        read_label_index(tmp_path, "class", LABELS, shards, every)
    (tmp_path / "labels-class.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        read_label_index(tmp_path, "class", LABELS, shards, every)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_training_index(tmp_path / "file", shards)
