"""Intervals over draws and test images, and the metrics' names."""

import numpy as np
import pytest
from scipy.stats import norm, ttest_1samp
from sklearn import metrics as sk

from deeplense_registry import UserError
from deeplense_registry.evaluation import METRICS, interval, interval_of
from deeplense_registry.evaluation.intervals import p_value_of
from deeplense_registry.evaluation.spread import spread_of


def mean(truth, prediction):
    return float(prediction.mean())


def trial(rng, draws, spread_draws, spread_own, images=100, resamples=200):
    """An interval of a mean of 0 whose Gaussian error has parts of the draw, of the image (1), and of both."""
    shared = rng.normal(size=images) * images**0.5
    predictions = [
        rng.normal() * spread_draws + shared + rng.normal(size=images) * spread_own * images**0.5 for _ in range(draws)
    ]
    return interval(mean, np.zeros(images), predictions, rng, resamples=resamples)


def coverage(draws, spread_draws, spread_own, trials, **sizes):
    rng = np.random.default_rng(5)
    found = [trial(rng, draws, spread_draws, spread_own, **sizes) for _ in range(trials)]
    return np.mean([one.low <= 0 <= one.high for one in found])


def tables(rng, seeds, draws, of_seeds, of_draws, of_both, resamples=100):
    """(1 + R, S, n) of a mean of 0 with Gaussian parts of seeds, draws, their residual, and images (1)."""
    effects = of_seeds * rng.normal(size=(seeds, 1)) + of_draws * rng.normal(size=draws)
    scores = effects + of_both * rng.normal(size=(seeds, draws)) + rng.normal()
    return scores + np.concatenate([[0.0], rng.normal(size=resamples)])[:, None, None]


@pytest.mark.parametrize(("draws", "spread_draws", "spread_own"), [(1, 0, 0), (2, 1, 1), (5, 2, 0.5)])
def test_the_interval_covers(draws, spread_draws, spread_own):
    assert 0.9 <= coverage(draws, spread_draws, spread_own, 150, resamples=100) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("draws", [2, 3, 5, 10])
@pytest.mark.parametrize(("spread_draws", "spread_own"), [(0, 1), (1, 0), (1, 1), (3, 1), (0.3, 0.5)])
def test_coverage_is_nominal_over_many_trials(draws, spread_draws, spread_own):
    """93 to 97 %, give or take the trials' own error (two standard deviations of 1,000)."""
    assert 0.93 - 0.016 <= coverage(draws, spread_draws, spread_own, 1000) <= 0.97 + 0.011


@pytest.mark.parametrize(("seeds", "draws", "most"), [(2, 2, 1.0), (3, 5, 0.99), (5, 2, 0.99), (5, 10, 0.99)])
@pytest.mark.parametrize(("of_seeds", "of_draws", "of_both"), [(0, 1, 1), (1, 0, 1), (3, 3, 1)])
def test_several_seeds_are_covered_too(seeds, draws, most, of_seeds, of_draws, of_both):
    rng = np.random.default_rng(6)
    found = [interval_of(tables(rng, seeds, draws, of_seeds, of_draws, of_both)) for _ in range(300)]
    assert 0.90 <= np.mean([one.low <= 0 <= one.high for one in found]) <= most


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(2, 2), (2, 10), (3, 3), (3, 10), (5, 2), (5, 5), (5, 10)])
@pytest.mark.parametrize("effects", [(0, 0, 0), (1, 0, 1), (0, 1, 1), (1, 1, 0), (1, 1, 1), (3, 0, 1), (3, 3, 1)])
def test_coverage_over_seeds_is_nominal_over_many_trials(sizes, effects):
    rng = np.random.default_rng(7)
    found = [interval_of(tables(rng, *sizes, *effects)) for _ in range(1000)]
    most = 0.99 + 0.008 if sizes == (2, 2) else 0.98 + 0.011  # the trials' own error, as above
    assert 0.93 - 0.016 <= np.mean([one.low <= 0 <= one.high for one in found]) <= most


def test_seeds_that_all_draws_share_are_not_counted_as_more():
    """Three seeds of ten draws are three results where the seeds differ, not thirty."""
    rng = np.random.default_rng(8)
    table = tables(rng, 3, 10, 10.0, 0.0, 0.0)
    flat = table.reshape(len(table), 30)
    honest, wrong = interval_of(table), interval_of(flat)
    assert honest.high - honest.low > 1.5 * (wrong.high - wrong.low)


def test_the_parts_of_the_variance_are_those_that_were_planted():
    rng = np.random.default_rng(9)
    found = [spread_of(tables(rng, 4, 6, 2.0, 1.0, 0.5)) for _ in range(400)]
    assert np.mean([one.seeds for one in found]) == pytest.approx(2.0**2 / 4, rel=0.15)
    assert np.mean([one.draws for one in found]) == pytest.approx(1.0**2 / 6 + 0.5**2 / 24, rel=0.15)
    assert np.mean([one.images for one in found]) == pytest.approx(1.0, rel=0.1)


def test_p_values_are_uniform_where_nothing_differs_and_agree_with_the_interval():
    rng = np.random.default_rng(10)
    some = [tables(rng, 1, 5, 0.0, 2.0, 0.0) for _ in range(400)]
    p = np.array([p_value_of(table) for table in some])
    assert 0.02 <= (p < 0.05).mean() <= 0.08
    assert 0.4 <= (p < 0.5).mean() <= 0.6
    outside = np.array([not one.low <= 0 <= one.high for one in map(interval_of, some)])
    assert (outside == (p < 0.05)).mean() > 0.97  # percentiles and standard deviations of the bootstrap differ a little


def test_p_values_of_one_sure_part_are_those_of_textbooks():
    draws = np.array([[0.3, 0.9, 0.5, 1.4]])
    assert p_value_of(draws) == pytest.approx(ttest_1samp(draws[0], 0.0).pvalue)
    assert p_value_of(draws[:, None]) == p_value_of(draws) == pytest.approx(p_value_of(-draws))
    images = np.concatenate([[2.0], 2.0 + norm.ppf((np.arange(1000) + 0.5) / 1000)])[:, None]
    assert p_value_of(images) == pytest.approx(2 * norm.sf(2.0), rel=0.02)
    assert p_value_of(np.zeros((3, 2))) == 1.0
    assert p_value_of(np.ones((3, 2))) == 1e-12
    assert p_value_of(1e9 + images) == 1e-12


def test_scores_without_resamples_have_the_interval_of_student():
    draws = np.array([[0.3, 0.9, 0.5, 1.4]])
    found = interval_of(draws)
    assert found[1:3] == pytest.approx(ttest_1samp(draws[0], 0.0).confidence_interval(0.95))
    assert interval_of(np.array([[0.7]]))[:3] == (0.7, 0.7, 0.7)


def test_few_draws_widen_it():
    widths = {}
    for draws in (2, 10):
        rng = np.random.default_rng(0)
        found = [trial(rng, draws, 1, 0) for _ in range(20)]
        widths[draws] = np.mean([one.high - one.low for one in found])
    assert widths[2] > 2 * widths[10]


def test_it_shrinks_with_the_test_set():
    rng = np.random.default_rng(0)
    width = {}
    for images in (100, 1600):
        truth = rng.integers(0, 2, images)
        found = interval(METRICS["accuracy"].score, truth, [rng.random((images, 2))], rng)
        assert found.low < found.value < found.high
        width[images] = found.high - found.low
    assert 2.5 < width[100] / width[1600] < 6  # 4 by the square root


def test_one_draw_gives_the_percentile_bootstrap_of_the_test_images():
    truth = np.random.default_rng(0).normal(size=50)
    prediction = truth + np.random.default_rng(1).normal(size=50)
    found = interval(METRICS["mae"].score, truth, [prediction], np.random.default_rng(2), resamples=99)
    rng = np.random.default_rng(2)
    rows = [rng.integers(50, size=50) for _ in range(99)]
    low, high = np.quantile([np.abs(truth[i] - prediction[i]).mean() for i in rows], [0.025, 0.975], method="weibull")
    assert found[:3] == pytest.approx((np.abs(truth - prediction).mean(), low, high))


def test_it_stays_within_the_metric_and_repeats_itself():
    truth = np.random.default_rng(0).integers(0, 2, 60)
    good, poor = np.eye(2)[truth], np.random.default_rng(3).random((60, 2))
    accuracy = METRICS["accuracy"]
    first, again = (
        interval(accuracy.score, truth, [good, poor], np.random.default_rng(1), bounds=accuracy.bounds) for _ in "ab"
    )
    assert first[:3] == again[:3]
    assert first.low == 0.0  # two draws as different as these say nothing
    assert first.high == 1.0
    perfect = interval(accuracy.score, truth, [good, good], np.random.default_rng(1), bounds=accuracy.bounds)
    assert perfect[:3] == (1.0, 1.0, 1.0)


def test_a_resample_without_a_class_is_drawn_again():
    truth = np.array([0] * 30 + [1] * 2)
    seen = []

    def classes(truth, prediction):
        seen.append(len(np.unique(truth)))
        return 0.0

    interval(classes, truth, [truth], np.random.default_rng(0))
    assert set(seen) == {2}


def test_classes_too_rare_for_any_resample_are_an_error():
    truth = np.arange(40)
    with pytest.raises(UserError, match=r"40 labelled test images, 1 belong to the rarest of 40 classes"):
        interval(mean, truth, [truth], np.random.default_rng(0))


@pytest.mark.parametrize("classes", [2, 4])
def test_metrics_of_classes_are_scikit_learns(classes):
    rng = np.random.default_rng(0)
    truth, probabilities = rng.integers(0, classes, 200), rng.dirichlet(np.ones(classes), 200)
    score = {name: metric.score(truth, probabilities) for name, metric in METRICS.items() if metric.kind == "class"}
    likeliest = probabilities.argmax(1)
    binary = classes == 2
    auroc = sk.roc_auc_score(truth, probabilities[:, 1] if binary else probabilities, multi_class="ovr")
    assert score["auroc"] == pytest.approx(auroc)
    assert score["accuracy"] == pytest.approx((truth == likeliest).mean())
    recalls = [(likeliest[truth == k] == k).mean() for k in range(classes)]
    assert score["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    assert score["f1"] == pytest.approx(sk.f1_score(truth, likeliest, average="macro"))


def test_metrics_of_quantities_are_by_their_formulas():
    rng = np.random.default_rng(0)
    truth, values = rng.normal(size=100), rng.normal(size=100)
    error = truth - values
    assert METRICS["mae"].score(truth, values) == pytest.approx(np.abs(error).mean())
    assert METRICS["rmse"].score(truth, values) == pytest.approx((error**2).mean() ** 0.5)
    assert METRICS["r2"].score(truth, values) == pytest.approx(1 - (error**2).sum() / (truth.var() * 100))


@pytest.mark.parametrize("name", ["auroc", "balanced_accuracy", "f1"])
def test_an_average_over_classes_needs_each(name):
    truth = np.array([0, 0, 2])
    with pytest.raises(UserError, match="class 1 has none among the 3"):
        METRICS[name].score(truth, np.full((3, 3), 1 / 3))
    assert METRICS["accuracy"].score(truth, np.eye(3)[truth]) == 1.0


def test_an_interval_of_its_own_replicates_is_itself():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=40)
    found = interval(METRICS["mae"].score, truth, [truth + rng.normal(size=40) for _ in range(3)], rng, resamples=50)
    assert found.replicates.shape == (51, 3)
    assert interval_of(found.replicates, (0.0, np.inf))[:3] == found[:3]


def test_paired_differences_are_narrower_than_their_parts():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=200)
    shared = [rng.normal(size=200) for _ in range(4)]
    one, other = (
        interval(METRICS["mae"].score, truth, [truth + scale * noise for noise in shared], np.random.default_rng(1))
        for scale in (1.0, 1.1)
    )
    paired = interval_of(other.replicates - one.replicates)
    assert 0 < paired.low < paired.value == pytest.approx(other.value - one.value)
    assert paired.high - paired.low < 0.5 * (one.high - one.low)
