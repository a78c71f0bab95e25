"""Skews of targets: exact class counts, quantities that pass a test of their distribution, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from deeplense_registry import UserError
from deeplense_registry.components import Target
from deeplense_registry.evaluation import label_pool, skewed, training_images
from deeplense_registry.shards import ShardSet
from deeplense_registry.spec import SkewTable
from tests.shards.shards_source import Toy, build

LENSES = Target(classes=("axion", "cdm", "no_sub"))
MASS = Target(unit="dex")
COUNTS = (1001, 1203, 1400)


def classes() -> np.ndarray:
    """(N,) of three classes in no order, a few unknown."""
    known = np.repeat([0, 1, 2, -1], (*COUNTS, 30))
    return np.random.default_rng(0).permutation(known)


def masses(kind: str = "even", count: int = 3000) -> np.ndarray:
    """(N,) in dex; every third image is of another class."""
    rng = np.random.default_rng(1)
    mass = rng.uniform(-24, -22, count) if kind == "even" else 2 * np.sqrt(rng.uniform(0.05, 1, count)) - 24
    return np.where(np.arange(count) % 3 == 2, np.nan, mass)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"ratio": {"axion": 1.0, "cdm": 0.3, "no_sub": 0.05}}, [1001, 300, 50]),
        ({"ratio": {"no_sub": 0.5, "cdm": 0.5, "axion": 0.5}}, [1001, 1001, 1001]),
        ({"imbalance": 100.0}, [1001, 100, 10]),
        ({"imbalance": 1.0}, [1001, 1001, 1001]),
    ],
)
def test_class_counts_are_exact(table: dict[str, Any], expected: list[int]) -> None:
    targets = classes()
    index = skewed(targets, SkewTable(target="class", **table), LENSES)
    assert np.bincount(targets[index][targets[index] >= 0]).tolist() == expected
    assert (targets[index] < 0).sum() == 30  # nothing is known against them
    assert (np.diff(index) > 0).all()


def test_the_seed_chooses_and_nothing_else() -> None:
    def kept(**table: Any) -> set[int]:
        return set(skewed(classes(), SkewTable(**{"target": "class", "imbalance": 10.0, **table}), LENSES).tolist())

    assert kept() == kept(on="labels")
    assert kept() != kept(seed=1)
    assert kept() != kept(target="kind")
    assert kept(imbalance=100.0) < kept() < kept(imbalance=2.0)  # the stronger is part of the weaker


def test_a_single_class_stays() -> None:
    index = skewed(np.zeros(5, np.int64), SkewTable(target="class", imbalance=10.0), Target(classes=("lens",)))
    assert index.tolist() == [0, 1, 2, 3, 4]


def exponential(low: float, high: float, scale: float = 0.5) -> Callable[[Any], Any]:
    law = stats.truncexpon((high - low) / scale, low, scale)
    return law.cdf


def lognormal(low: float, high: float, scale: float = 0.5, shape: float = 0.5) -> Callable[[Any], Any]:
    law = stats.lognorm(shape, low, scale)
    return lambda values: law.cdf(values) / law.cdf(high)


@pytest.mark.parametrize("kind", ["even", "rising"])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("table", "law"),
    [
        ({"distribution": "exponential", "scale": 0.5}, exponential),
        ({"distribution": "lognormal", "scale": 0.5}, lognormal),
        ({"distribution": "lognormal", "scale": 1.0, "shape": 0.2}, lambda *ends: lognormal(*ends, 1.0, 0.2)),
    ],
)
def test_a_quantity_follows_the_asked_distribution(
    table: dict[str, Any], law: Callable[[float, float], Any], kind: str, seed: int
) -> None:
    targets = masses(kind)
    index = skewed(targets, SkewTable(target="mass", seed=seed, **table), MASS)
    kept, known = targets[index], targets[~np.isnan(targets)]
    assert np.isnan(kept).sum() == 1000  # the other classes
    kept = kept[~np.isnan(kept)]
    assert 50 < len(kept) < len(known)
    assert stats.kstest(kept, law(known.min(), known.max())).pvalue > 0.2
    assert stats.kstest(known, law(known.min(), known.max())).pvalue < 1e-6  # it was not so before


def test_the_default_scale_is_a_quarter_of_the_range() -> None:
    targets = np.linspace(10.0, 18.0, 2000)
    for distribution in ("exponential", "lognormal"):
        index = skewed(targets, SkewTable(target="mass", distribution=distribution), MASS)
        same = skewed(targets, SkewTable(target="mass", distribution=distribution, scale=2.0), MASS)
        np.testing.assert_array_equal(index, same)


def test_a_gap_takes_out_its_values_and_nothing_else() -> None:
    targets = np.array([0.0, 1.0, 2.0, np.nan, 3.0, 3.5, 4.0, 9.0])
    index = skewed(targets, SkewTable(target="mass", distribution="gap", gap=(2.0, 3.5)), MASS)
    assert index.tolist() == [0, 1, 3, 6, 7]
    index = skewed(targets, SkewTable(target="mass", distribution="gap"), MASS)  # 3 to 6
    assert index.tolist() == [0, 1, 2, 3, 7]


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 300), st.floats(0.02, 5.0), st.sampled_from(("exponential", "lognormal")), st.integers(0, 9))
def test_any_quantity_is_cut_down_or_refused(count: int, scale: float, distribution: Any, seed: int) -> None:
    targets = np.random.default_rng(seed).normal(size=count)
    table = SkewTable(target="mass", distribution=distribution, scale=scale, seed=seed)
    try:
        index = skewed(targets, table, MASS)
    except UserError as error:
        assert "no training image would be left" in str(error)  # noqa: PT017
        return
    assert len(set(index.tolist())) == len(index) <= count


@pytest.mark.parametrize(
    ("targets", "table", "about", "words"),
    [
        (np.repeat([0, 1], 5), {"imbalance": 2.0}, LENSES, ["0 training images", '"no_sub"', "leave the class out"]),
        (np.repeat([0, 1, 2], 5), {"imbalance": 100.0}, LENSES, ["none of the 5", '"no_sub"', "weaker"]),
        (np.full(3, -1), {"imbalance": 2.0}, LENSES, ['no training image has "x"']),
        (np.full(3, np.nan), {"distribution": "gap"}, MASS, ['no training image has "x"']),
        (np.full(3, 7.5), {"distribution": "exponential"}, MASS, ["is 7.5 in every training image"]),
        (np.array([0.0, 1.0]), {"distribution": "gap", "gap": (-1, 2)}, MASS, ["0 to 1", "choose another gap"]),
        (np.array([0.0, 1.0]), {"distribution": "exponential", "scale": 1e-9}, MASS, ["choose another scale"]),
    ],
)
def test_what_cannot_be_kept_is_refused(
    targets: np.ndarray, table: dict[str, Any], about: Target, words: list[str]
) -> None:
    with pytest.raises(UserError) as refused:
        skewed(targets, SkewTable(target="x", **table), about)
    assert all(word in str(refused.value) for word in words)


def test_what_the_skew_is_on(tmp_path: Path) -> None:
    build(tmp_path, Toy({"train": 60, "val": 12}))
    shards = ShardSet.open(tmp_path)
    table = {"target": "class", "ratio": {"none": 0.2, "ring": 1.0, "arc": 0.6}}
    both, labels = SkewTable(on="both", **table), SkewTable(on="labels", **table)
    assert training_images(None, shards) is training_images(labels, shards) is shards
    assert label_pool(None, shards).tolist() == list(range(60))
    left = training_images(both, shards)
    assert np.bincount(left.targets("train", "class") + 1).tolist() == [15, 3, 15, 9]  # the unknown, and the classes
    assert left.count("val") == 12
    np.testing.assert_array_equal(left.positions("train"), label_pool(labels, shards))
    assert label_pool(both, left).tolist() == list(range(left.count("train")))


def test_the_shards_tell_what_does_not_suit_them(tmp_path: Path) -> None:
    build(tmp_path, Toy({"train": 30}))
    table, shards = SkewTable(target="class", ratio={"none": 1.0, "rng": 1.0, "arc": 1.0}), ShardSet.open(tmp_path)
    with pytest.raises(UserError, match=r'^skew\.ratio\.rng: "class" has no class "rng"; did you mean "ring"'):
        training_images(table, shards)
