"""Metrics beside scikit-learn, astropy and naive loops."""

from functools import partial

import numpy as np
import pytest
from astropy.stats import mad_std
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from deeplense_registry import Target, UserError
from deeplense_registry.evaluation import METRICS, metrics_for
from deeplense_registry.evaluation.class_metrics import auroc_of

NEEDS_EACH = ("auroc", "balanced_accuracy", "f1", "average_precision", "purity", "tpr_at_fpr_1e-2")


def predicted(classes, count=300, seed=0, levels=None):
    """Truth and probabilities that know something of it; of ``levels`` values each, so that there are ties."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, count)
    truth[:classes] = np.arange(classes)
    probabilities = rng.dirichlet(np.ones(classes), count) + 0.5 * np.eye(classes)[truth]
    probabilities /= probabilities.sum(1, keepdims=True)
    return truth, probabilities if levels is None else np.round(levels * probabilities) / levels


def one_vs_rest(score, truth, probabilities):
    labels = [1] if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    return np.mean([score(truth == label, probabilities[:, label]) for label in labels])


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 5), st.integers(12, 80), st.integers(0, 10**6), st.sampled_from([None, 1, 3, 10]))
def test_auroc_is_scikit_learns_to_the_twelfth_digit(classes, count, seed, levels):
    truth, probabilities = predicted(classes, count, seed, levels)
    one_hot = np.eye(classes)[truth]
    each = [sk.roc_auc_score(one_hot[:, label], probabilities[:, label]) for label in range(classes)]
    assert METRICS["auroc"].score(truth, probabilities) == pytest.approx(np.mean(each), abs=1e-12)
    assert [auroc_of(truth, probabilities, label) for label in range(classes)] == pytest.approx(each, abs=1e-12)


@pytest.mark.parametrize("classes", [2, 4])
def test_average_precision_is_the_step_sum(classes):
    truth, probabilities = predicted(classes)

    def step_sum(own, scores):
        hits = own[np.argsort(-scores)]
        return (hits * np.cumsum(hits) / np.arange(1, len(hits) + 1)).sum() / hits.sum()

    expected = np.mean([step_sum(truth == label, probabilities[:, label]) for label in range(classes)])
    assert METRICS["average_precision"].score(truth, probabilities) == pytest.approx(expected)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("levels", [None, 20])
def test_purity_and_true_positive_rates_by_every_threshold(classes, levels):
    truth, probabilities = predicted(classes, levels=levels)

    def purest(own, scores):
        kept = [scores >= cut for cut in scores]
        return max(own[k].mean() for k in kept if own[k].sum() >= 0.9 * own.sum())

    def highest(own, scores, rate):
        kept = [scores >= cut for cut in [*scores, np.inf]]
        return max(k[own].mean() for k in kept if k[~own].mean() <= rate)

    assert METRICS["purity"].score(truth, probabilities) == pytest.approx(one_vs_rest(purest, truth, probabilities))
    for name, rate in (("tpr_at_fpr_1e-2", 1e-2), ("tpr_at_fpr_1e-3", 1e-3)):
        expected = one_vs_rest(partial(highest, rate=rate), truth, probabilities)
        assert METRICS[name].score(truth, probabilities) == pytest.approx(expected)


def test_of_two_classes_the_second_is_sought():
    truth, scores = np.array([0, 0, 0, 1, 1, 1]), np.array([0.1, 0.2, 0.8, 0.7, 0.85, 0.9])
    probabilities = np.stack([1 - scores, scores], 1)
    assert METRICS["tpr_at_fpr_1e-2"].score(truth, probabilities) == pytest.approx(2 / 3)
    assert METRICS["purity"].score(truth, probabilities) == pytest.approx(3 / 4)


def test_calibration_error_by_a_naive_loop():
    truth, probabilities = predicted(3, levels=15)  # many confidences at the edge of a bin
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    expected = 0.0
    for number in range(15):
        inside = (np.round(confidence * 15, 9) > number) & (np.round(confidence * 15, 9) <= number + 1)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert METRICS["calibration_error"].score(truth, np.nextafter(probabilities, 0)) == pytest.approx(expected)


def test_calibration_error_of_the_calibrated_and_of_the_sure():
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1.0, 20000)
    truth = (rng.random(20000) < sure).astype(int)
    assert METRICS["calibration_error"].score(truth, np.stack([1 - sure, sure], 1)) < 0.02
    assert METRICS["calibration_error"].score(truth, np.tile([0.0, 1.0], (20000, 1))) == pytest.approx(1 - truth.mean())


def redshifts(count=400):
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.0, 0.4, count)
    return truth, truth + 0.03 * rng.standard_t(3, count) + 0.01


def test_redshifts_are_astropys():
    truth, values = redshifts()
    dz = (values - truth) / (1 + truth)
    assert METRICS["sigma_mad"].score(truth, values) == pytest.approx(mad_std(dz), rel=1e-12)
    assert METRICS["sigma_mad"].score(truth, values) == pytest.approx(
        1.4826 * np.median(np.abs(dz - np.median(dz))), rel=1e-5
    )
    assert METRICS["outliers"].score(truth, values) == np.mean([abs(one) > 0.05 for one in dz]) > 0
    assert METRICS["dz_bias"].score(truth, values) == pytest.approx(dz.mean())
    assert METRICS["median_bias"].score(truth, values) == pytest.approx(sum(sorted(values - truth)[199:201]) / 2)


def test_what_is_no_redshift_is_refused():
    for name in ("sigma_mad", "outliers", "dz_bias"):
        with pytest.raises(UserError, match="lie above -1, and a target is -3; measure mae"):
            METRICS[name].score(np.array([0.1, -3.0]), np.zeros(2))


def test_an_exact_prediction_is_perfect():
    truth, _ = predicted(3)
    found = {name: m.score(truth, np.eye(3)[truth]) for name, m in METRICS.items() if m.kind == "class"}
    assert found.pop("calibration_error") == 0
    assert set(found.values()) == {1.0}
    truth, _ = redshifts()
    found = {name: m.score(truth, truth) for name, m in METRICS.items() if m.kind == "quantity"}
    assert found.pop("r2") == 1
    assert set(found.values()) == {0.0}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_metrics_stay_within_their_bounds(seed):
    rng = np.random.default_rng(seed)
    truth, probabilities = predicted(3, 30, seed)
    values, guess = rng.uniform(0, 1, 30), rng.normal(size=30)
    for metric in METRICS.values():
        score = metric.score(truth, probabilities) if metric.kind == "class" else metric.score(values, guess)
        assert metric.bounds[0] <= score <= metric.bounds[1]


@pytest.mark.parametrize("name", NEEDS_EACH)
def test_an_average_needs_each_class_and_finite_probabilities(name):
    truth = np.array([0, 0, 2])
    with pytest.raises(UserError, match="class 1 has none among the 3"):
        METRICS[name].score(truth, np.full((3, 3), 1 / 3))
    with pytest.raises(UserError, match="not finite"):
        METRICS[name].score(np.arange(3), np.full((3, 3), np.nan))


def test_metrics_are_chosen_by_the_kind_of_target():
    kind, radius = Target(classes=("axion", "cdm")), Target(unit="arcsec")
    names = ("auroc", "auroc_per_class", "r2")
    chosen = metrics_for(names, kind)
    assert [metric.name for metric in chosen] == ["auroc", "auroc:axion", "auroc:cdm"]
    assert [metric.name for metric in metrics_for(names, radius)] == ["r2"]
    truth, probabilities = predicted(2)
    for label, metric in enumerate(chosen[1:]):
        expected = sk.roc_auc_score(truth == label, probabilities[:, label])
        assert metric.score(truth, probabilities) == pytest.approx(expected)
    with pytest.raises(UserError, match="of the metrics r2, mae none is for a class; add one of auroc, accuracy"):
        metrics_for(("r2", "mae"), kind)
