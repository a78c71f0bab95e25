"""The probes on planted embeddings: what they must find, what they must not, and what they refuse."""

import json
from typing import get_args

import attrs
import numpy as np
import pytest
from deeplense_probes.evaluator import KNN, Linear, Ridge
from deeplense_probes.options import ClassMetric, KNNOptions, LinearOptions, QuantityMetric, RidgeOptions
from sklearn.exceptions import ConvergenceWarning

from deeplense_registry import Target, UserError
from deeplense_registry.evaluation import METRICS, judge
from deeplense_registry.evaluation.metrics import AUROC_PER_CLASS


def linear(**options):
    return Linear(LinearOptions(**{"targets": ("class",), **options}))


def ridge(**options):
    return Ridge(RidgeOptions(**{"targets": ("radius",), **options}))


def knn(*targets, **options):
    return KNN(KNNOptions(targets=targets, **options))


def measured(evaluator, bench):
    return {(m.target, m.metric, m.labels): m for m in judge(evaluator, "probe", bench)}


def everything(bench):
    return [m for evaluator in (linear(), ridge(), knn("class", "radius")) for m in judge(evaluator, "probe", bench)]


def every(bench, target):
    """The number of training images labelled with the target."""
    return len(bench.draws(target)[-1][0].index)


def test_linear_finds_separable_classes(planted):
    bench = planted(signal=6.0)
    found = measured(linear(metrics=("auroc", "accuracy", "balanced_accuracy", "f1")), bench)
    assert {key[1] for key in found} == {"auroc", "accuracy", "balanced_accuracy", "f1"}
    assert all(m.value > 0.97 for m in found.values())
    assert {(m.labels, m.repeats) for m in found.values()} == {(30, 4), (every(bench, "class"), 1)}


@pytest.mark.parametrize("probe", [linear(), knn("class")])
def test_noise_is_chance_and_the_interval_says_so(planted, probe):
    for (_, metric, _), m in measured(probe, planted(signal=0.0)).items():
        if metric == "auroc":
            assert m.low < 0.5 < m.high
            assert abs(m.value - 0.5) < 0.06


def test_ridge_recovers_a_linear_quantity(planted):
    bench = planted()
    found = measured(ridge(metrics=("r2", "mae", "rmse")), bench)
    known = every(bench, "radius")
    assert found["radius", "r2", known].value > 0.999
    assert found["radius", "mae", known].value < 0.01
    assert found["radius", "mae", known].value <= found["radius", "rmse", known].value
    assert found["radius", "r2", 30].value > 0.99
    noise = measured(ridge(), planted(signal=0.0))
    assert all(abs(m.value) < 0.2 for (_, metric, _), m in noise.items() if metric == "r2")


def test_knn_predicts_classes_and_quantities(planted):
    found = measured(knn("class", "radius"), planted(signal=6.0))
    assert {key[:2] for key in found} == {
        ("class", "auroc"),
        ("class", "accuracy"),
        ("radius", "r2"),
        ("radius", "mae"),
    }
    assert found["class", "auroc", 30].value > 0.95


def test_more_labels_help_and_more_test_images_narrow(planted):
    small, large = (measured(linear(), planted(signal=1.0, sizes=(400, 60, n))) for n in (150, 1500))
    budgets = sorted({labels for _, _, labels in large})
    assert large["class", "auroc", budgets[0]].value < large["class", "auroc", budgets[1]].value
    ends = [
        (run["class", "accuracy", budgets[1]].low, run["class", "accuracy", budgets[1]].high) for run in (small, large)
    ]
    assert ends[0][1] - ends[0][0] > 2 * (ends[1][1] - ends[1][0])


def test_evaluation_is_deterministic_and_a_row_goes_into_json(planted):
    first, again = (json.dumps([m.as_json() for m in everything(planted())]) for _ in "ab")
    assert first == again


def test_a_shifted_and_scaled_encoder_is_judged_alike(planted):
    bench, other = planted(), planted()
    other.source.rows = {split: 100 * rows - 7 for split, rows in other.source.rows.items()}
    for evaluator in (linear(), ridge()):
        ours, theirs = measured(evaluator, bench), measured(evaluator, other)
        for key, m in ours.items():
            assert (m.value, m.low, m.high) == pytest.approx(
                (theirs[key].value, theirs[key].low, theirs[key].high), abs=1e-3
            )


def test_constant_features_and_collapsed_encoders_are_chance(planted):
    bench = planted()
    rows = {split: np.full_like(values, 0.1) for split, values in bench.source.rows.items()}
    bench.source.rows = rows
    assert measured(linear(), bench)["class", "auroc", 30].value == 0.5
    assert abs(measured(ridge(), bench)["radius", "r2", 30].value) < 0.1
    assert measured(knn("class"), bench)["class", "auroc", 30].value == 0.5


def test_a_class_that_the_draw_misses_has_no_probability(planted):
    found = measured(linear(), planted(signal=6.0, budgets=(2,), draws=3))
    assert 0.4 < found["class", "accuracy", 2].value < 0.8  # two classes of three


def test_fits_that_do_not_converge_are_recorded(planted, recwarn):
    bench = planted(signal=1.0)
    found = measured(linear(iterations=1), bench)
    assert found["class", "unconverged", 30].value > 0
    assert found["class", "unconverged", 30].split == "train"
    assert not [w for w in recwarn if issubclass(w.category, ConvergenceWarning)]
    assert not [key for key in measured(linear(), bench) if key[1] == "unconverged"]


@pytest.mark.parametrize(("split", "count"), [("val", 5), ("test", 1)])
@pytest.mark.parametrize("evaluator", [linear(), ridge()])
def test_a_split_that_is_too_small_is_refused(planted, split, count, evaluator):
    bench = planted()
    for target, unknown in (("class", -1), ("radius", np.nan)):
        bench.source.known[split][target][count:] = unknown
    with pytest.raises(
        UserError, match=f"'{split}' has . images labelled with '(class|radius)', and \\d+ are the least"
    ):
        measured(evaluator, bench)


def without_validation(planted):
    bench = planted(signal=6.0)
    bench.card = attrs.evolve(bench.card, splits={"train": 240, "test": 200})
    return bench


def test_no_validation_split_is_refused_unless_nothing_is_chosen(planted):
    with pytest.raises(
        UserError, match=r"\[evaluate.linear\] chooses its regularisation .* no split 'val'.*single value"
    ):
        measured(linear(), without_validation(planted))
    assert measured(linear(strengths=(0.1,)), without_validation(planted))["class", "auroc", 30].value > 0.95
    assert measured(ridge(alphas=(0.1,)), without_validation(planted))["radius", "r2", 30].value > 0.9
    assert measured(knn("class"), without_validation(planted))["class", "auroc", 30].value > 0.95


@pytest.mark.parametrize(
    ("evaluator", "message"),
    [
        (linear(targets=("radius",)), r"\[evaluate.linear\].*'radius' is a quantity.*\[evaluate.ridge\]"),
        (ridge(targets=("class",)), r"\[evaluate.ridge\].*'class' is a class.*\[evaluate.linear\]"),
        (linear(targets=("mass",)), r"no 'mass'; its targets: 'class', 'radius'"),
        (ridge(targets=("radius", "mass")), r"no 'mass'"),
        (knn("class", "mass"), r"\[evaluate.knn\].*no 'mass'"),
    ],
)
def test_targets_are_checked_before_anything_is_measured(planted, evaluator, message):
    with pytest.raises(UserError, match=message):
        next(iter(evaluator.evaluate(planted())))


def test_one_label_is_not_enough_for_logistic_regression(planted):
    with pytest.raises(UserError, match="1 labelled images holds one class of 3"):
        measured(linear(), planted(budgets=(1,)))
    assert measured(knn("class"), planted(budgets=(1,)))["class", "auroc", 1].value >= 0.5


def test_a_test_split_without_a_class_is_refused(planted):
    bench = planted()
    truth = bench.source.known["test"]["class"]
    truth[truth == 2] = 1
    with pytest.raises(UserError, match="class 2 has none"):
        measured(linear(), bench)
    assert measured(linear(metrics=("accuracy",)), bench)


def test_two_classes_are_enough(bench_of):
    rng = np.random.default_rng(0)
    targets = {split: {"lens": rng.integers(0, 2, 100)} for split in ("train", "val", "test")}
    rows = {
        split: (known["lens"][:, None] * 4 + rng.normal(size=(100, 3))).astype("f4") for split, known in targets.items()
    }
    bench = bench_of(rows, targets, {"lens": Target(classes=("no", "yes"))})
    assert measured(linear(targets=("lens",)), bench)["lens", "auroc", 100].value > 0.99


def test_the_options_offer_the_metrics_there_are():
    classes, quantities = (
        {name for name, metric in METRICS.items() if metric.kind == kind} for kind in ("class", "quantity")
    )
    assert set(get_args(ClassMetric)) == classes | {AUROC_PER_CLASS}
    assert set(get_args(QuantityMetric)) == quantities


def test_every_metric_offered_can_be_measured(planted):
    bench = planted(budgets=(60,), draws=1)
    found = measured(linear(metrics=get_args(ClassMetric), strengths=(0.1,)), bench)
    each = {"auroc:axion", "auroc:cdm", "auroc:none"}
    assert {metric for _, metric, _ in found} == {*get_args(ClassMetric), *each} - {AUROC_PER_CLASS}
    quantities = ("r2", "mae", "rmse", "median_bias")  # the others are of redshifts
    assert {metric for _, metric, _ in measured(ridge(metrics=quantities), bench)} == {*quantities}


def test_neighbours_measure_what_suits_the_target(planted):
    found = measured(knn("class", "radius", metrics=("f1", "rmse")), planted())
    assert {key[:2] for key in found} == {("class", "f1"), ("radius", "rmse")}
    with pytest.raises(UserError, match="of the metrics f1 none is for a quantity; add one of r2, mae"):
        measured(knn("class", "radius", metrics=("f1",)), planted())
