"""Label efficiency recovers what was planted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.isotonic import isotonic_regression

from deeplense_registry import UserError
from deeplense_registry.evaluation.efficiency import Efficiency, label_efficiency, labels_needed, monotone

BUDGETS = (30, 100, 300, 1000, 3000)


def level(labels, factor):
    """Linear in the logarithm of the labels in the middle, bent at both ends."""
    return 0.5 + 0.5 / (1 + np.exp(5.5 - np.log(labels * factor)))


def curves(rng, factor, *, draws=10, seeds=1, own=0.003, budgets=BUDGETS, resamples=100):
    """Encoder and baseline with draws and images in common, and noise of their own."""
    found = {}, {}
    for labels in budgets:
        shared = 0.01 * rng.normal(size=draws) + 0.01 * rng.normal(size=(1 + resamples, 1, 1))
        for curve, shift in zip(found, (factor, 1.0), strict=True):
            noise = own * rng.normal(size=(seeds, draws)) + own * rng.normal(size=(1 + resamples, 1, 1))
            curve[labels] = level(labels, shift) + shared + noise
    return found


@settings(max_examples=50)
@given(arrays(float, (3, 6), elements=st.floats(-2, 2)))
def test_monotone_is_isotonic_regression(drawn):
    fitted = monotone(drawn)
    assert fitted == pytest.approx(np.array([isotonic_regression(row) for row in drawn]), abs=1e-9)
    assert (np.diff(fitted) >= -1e-12).all()


def test_labels_needed_are_interpolated_in_the_logarithm():
    budgets, curve = np.array([10, 100, 1000]), np.array([[0.5, 0.7, 0.7]])
    needed = [labels_needed(budgets, curve, np.array([wanted]))[0] for wanted in (0.4, 0.5, 0.6, 0.7, 0.8)]
    assert needed == pytest.approx([0.0, 10, 10**1.5, 100, np.inf])  # 0.7 is first had with 100


def test_a_planted_factor_is_recovered():
    encoder, baseline = curves(np.random.default_rng(0), 3.0, own=0.0)
    found = {one.labels: one for one in label_efficiency(encoder, baseline, np.random.default_rng(1))}
    for labels in (300, 1000):
        assert found[labels].value == pytest.approx(3.0, rel=0.25)  # images of one test set, one curve's bends
    exact = {labels: np.full((2, 1, 2), np.log(labels)) for labels in BUDGETS}
    shifted = {labels: table + np.log(3.0) for labels, table in exact.items()}
    for one in label_efficiency(shifted, exact, np.random.default_rng(1)):
        if one.labels > 90:
            assert (one.value, one.low, one.high) == pytest.approx((3.0, 3.0, 3.0))


def test_the_interval_covers_the_planted_factor():
    rng, covered, values = np.random.default_rng(2), [], []
    for _ in range(60):
        encoder, baseline = curves(rng, 3.0)
        (found,) = (one for one in label_efficiency(encoder, baseline, rng) if one.labels == 1000)
        covered.append(found.low <= 3.0 <= found.high)
        values.append(found.value)
    assert np.median(values) == pytest.approx(3.0, rel=0.1)
    assert np.mean(covered) > 0.85


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "draws"), [(1, 2), (1, 10), (3, 5)])
def test_coverage_of_the_factor_over_many_trials(seeds, draws):
    rng, covered = np.random.default_rng(3), []
    for _ in range(500):
        encoder, baseline = curves(rng, 3.0, seeds=seeds, draws=draws)
        (found,) = (one for one in label_efficiency(encoder, baseline, rng) if one.labels == 1000)
        covered.append(found.low <= 3.0 <= found.high)
    assert np.mean(covered) > 0.92  # draws of different budgets are alike here only by chance: wide rather than narrow


def test_beyond_the_budgets_it_is_more_or_less():
    base = {30: np.full((1, 1, 1), 0.6), 300: np.full((1, 1, 1), 0.7)}
    better = {labels: table + 0.2 for labels, table in base.items()}
    more = label_efficiency(better, base, np.random.default_rng(0))
    assert [one.text() for one in more] == ["> 1 (> 1 > 1)", "> 10 (> 10 > 10)"]
    less = label_efficiency(base, better, np.random.default_rng(0))
    assert [one.text() for one in less] == ["< 0.1 (< 0.1 < 0.1)", "< 1 (< 1 < 1)"]
    assert label_efficiency(base, base, np.random.default_rng(0))[1].value == pytest.approx(1.0)
    assert Efficiency(300, 3.14, 2.0, np.inf, 0.1, 10.0).text() == "3.14 (2 > 10)"


def test_one_budget_tells_nothing():
    with pytest.raises(UserError, match="two or more label budgets, and there are 1"):
        label_efficiency({30: np.zeros((1, 1, 1))}, {30: np.zeros((1, 1, 1))}, np.random.default_rng(0))


def test_the_interval_narrows_with_draws_and_repeats_itself():
    widths = {}
    for draws in (2, 10):
        encoder, baseline = curves(np.random.default_rng(4), 3.0, draws=draws)
        found, again = (label_efficiency(encoder, baseline, np.random.default_rng(5)) for _ in "ab")
        assert found == again
        widths[draws] = np.log(max(found[3].high, 1e-3) / max(found[3].low, 1e-3))
    assert widths[2] > widths[10]
