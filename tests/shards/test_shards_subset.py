"""A subset of a split is like shards that have no other images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deeplense_registry.shards import ShardSet, Subset, epoch_order, part
from tests.shards.shards_source import Toy, build

KEPT = np.array([1, 2, 5, 11, 20, 21, 22])


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ShardSet:
    monkeypatch.setattr(part, "AIM", 20_000)  # four or five samples a shard
    monkeypatch.setattr(part, "LARGEST", 20_000)
    build(tmp_path, Toy({"train": 23, "val": 5}))
    return ShardSet.open(tmp_path)


def test_everything_is_of_the_images_that_are_left(whole: ShardSet) -> None:
    some = Subset(whole, "train", KEPT)
    assert (some.count("train"), some.count("val")) == (7, 5)
    assert whole.counts("train") == (4, 5, 4, 5, 5)
    assert some.counts("train") == (2, 1, 1, 0, 3)
    assert some.counts("val") == whole.counts("val")
    assert some.card.splits == {"train": 7, "val": 5}
    assert some.statistics == whole.statistics
    assert some.names("train").tolist() == whole.names("train")[KEPT].tolist()
    np.testing.assert_array_equal(some.targets("train", "theta_e"), whole.targets("train", "theta_e")[KEPT])
    np.testing.assert_array_equal(some.meta("train", "psf"), whole.meta("train", "psf")[KEPT])
    np.testing.assert_array_equal(some.positions("train"), KEPT)
    np.testing.assert_array_equal(some.positions("val"), whole.positions("val"))
    np.testing.assert_array_equal(some.meta("val", "psf"), whole.meta("val", "psf"))
    order = epoch_order(some.counts("train"), 0, 0)
    np.testing.assert_array_equal(some.images("train", order), whole.images("train", KEPT[order]))
    assert some.images("train", np.array([], np.int64)).shape == (0, 2, 8, 8)


@pytest.mark.parametrize("index", [[7], [-1], [0, 22]])
def test_positions_outside_are_refused(index: list[int], whole: ShardSet) -> None:
    with pytest.raises(IndexError, match="split 'train' has positions 0 to 6"):
        Subset(whole, "train", KEPT).images("train", np.array(index))
