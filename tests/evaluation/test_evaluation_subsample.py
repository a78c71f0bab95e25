"""Subsampling: exact ratios, and distances that hold by construction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from deeplense_registry.evaluation import counts_in_ratio, follow
from deeplense_registry.evaluation.subsample import TOLERANCE

classes = st.integers(1, 6).flatmap(
    lambda k: st.tuples(
        st.lists(st.integers(0, 3000), min_size=k, max_size=k),
        st.lists(st.floats(0.001, 1.0), min_size=k, max_size=k),
    )
)
values = st.tuples(
    st.integers(1, 400), st.integers(0, 10**6), st.sampled_from(("uniform", "normal", "exponential", "few"))
)


def drawn(case: tuple[int, int, str]) -> np.ndarray:
    """(N,) in [0, 1]."""
    count, seed, kind = case
    rng = np.random.default_rng(seed)
    if kind == "few":
        return rng.choice([0.0, 0.3, 1.0], count)
    raw = rng.uniform(size=count) if kind == "uniform" else rng.normal(size=count)
    raw = rng.exponential(size=count) if kind == "exponential" else raw
    return (raw - raw.min()) / max(np.ptp(raw), 1e-9)


@given(classes)
def test_counts_follow_the_ratio_to_the_image(case: tuple[list[int], list[float]]) -> None:
    available, ratio = case
    counts = counts_in_ratio(available, ratio)
    scale = min(count / share for count, share in zip(available, ratio, strict=True))
    assert all(0 <= count <= of for count, of in zip(counts, available, strict=True))
    assert all(abs(count - scale * share) < 1 + 1e-9 for count, share in zip(counts, ratio, strict=True))
    assert abs(sum(counts) - scale * sum(ratio)) <= 0.5 + 1e-6


@given(classes, st.integers(2, 5))
def test_no_larger_set_has_the_ratio(case: tuple[list[int], list[float]], times: int) -> None:
    """Some class is used up, and the ratio's unit does not matter."""
    available, ratio = case
    counts = counts_in_ratio(available, ratio)
    assert any(count == of for count, of in zip(counts, available, strict=True))
    halves = [share / 2 for share in ratio]  # exact in binary, and in the decimals of most
    assert sum(counts_in_ratio(available, halves)) == pytest.approx(sum(counts), abs=1)


@pytest.mark.parametrize(
    ("available", "ratio", "counts"),
    [
        ([1000, 1000, 1000], [1.0, 0.3, 0.05], [1000, 300, 50]),
        ([100, 100, 100], [1.0, 0.3, 0.05], [100, 30, 5]),  # in binary 0.3 is less than 0.3
        ([1333, 1333, 1334], [1.0, 0.3, 0.05], [1333, 400, 67]),
        ([1000, 30, 1000], [1.0, 0.3, 0.05], [100, 30, 5]),
        ([7, 7], [0.5, 0.5], [7, 7]),
        ([10, 10], [1.0, 0.01], [10, 0]),
        ([0, 10], [1.0, 1.0], [0, 0]),
    ],
)
def test_counts_by_hand(available: list[int], ratio: list[float], counts: list[int]) -> None:
    assert counts_in_ratio(available, ratio) == counts


@settings(deadline=None)
@given(values, st.integers(0, 99))
def test_the_distance_holds_by_construction(case: tuple[int, int, str], seed: int) -> None:
    u = drawn(case)
    index = follow(u, np.random.default_rng(seed))
    assert (np.diff(index) > 0).all()  # without replacement
    assert ((index >= 0) & (index < len(u))).all()
    if len(index):
        assert stats.ks_1samp(u[index], stats.uniform.cdf).statistic <= TOLERANCE / np.sqrt(len(index)) + 1e-12
    np.testing.assert_array_equal(index, follow(u, np.random.default_rng(seed)))


@settings(deadline=None)
@given(values, st.integers(0, 99))
def test_the_order_of_images_does_not_matter(case: tuple[int, int, str], seed: int) -> None:
    u = drawn(case)
    order = np.random.default_rng(seed).permutation(len(u))
    kept, shuffled = follow(u, np.random.default_rng(1)), order[follow(u[order], np.random.default_rng(1))]
    np.testing.assert_array_equal(np.sort(u[kept]), np.sort(u[shuffled]))


def test_what_follows_already_stays_whole() -> None:
    assert len(follow((np.arange(500) + 0.5) / 500, np.random.default_rng(0))) == 500


def test_nearly_as_many_are_kept_as_rejection_would_keep_of_perfect_knowledge() -> None:
    """Of a density that is g below the asked one at worst, at least the fraction 1 / g: 1/4 here, and not one half."""
    u = 1 - (1 - (np.arange(4000) + 0.5) / 4000) ** 0.25  # denser at 0 by 4, vanishing at 1
    thin = np.concatenate([np.linspace(0, 0.5, 1000), np.linspace(0.5, 1, 3000)])  # densities 1/2 and 3/2
    assert 2000 <= len(follow(thin, np.random.default_rng(0))) < 2200
    assert len(follow(u, np.random.default_rng(0))) < 1000


def test_the_generator_chooses_where_there_is_a_choice() -> None:
    u = np.concatenate([np.linspace(0, 0.5, 100), np.linspace(0.5, 1, 1000)])
    one, other = (set(follow(u, np.random.default_rng(seed)).tolist()) for seed in (0, 1))
    assert len(one) == len(other)
    assert 0.05 < len(one & other) / len(one) < 0.95


@pytest.mark.parametrize("u", [[], [0.0], [1.0]])
def test_nothing_is_kept_of_what_cannot_follow(u: list[float]) -> None:
    assert len(follow(np.array(u), np.random.default_rng(0))) == 0
