"""Distance to labelled images as a score of trust."""

import numpy as np
import pytest
from deeplense_discovery import risk
from deeplense_discovery.options import TrustOptions
from deeplense_discovery.trust import Trust
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from deeplense_registry import UserError
from deeplense_registry.evaluation import judge


def trust(*targets, **options):
    return Trust(TrustOptions(targets=targets or ("class",), **options))


def measured(evaluator, bench):
    return {(m.metric, m.labels): m for m in judge(evaluator, "trust", bench)}


def judgement(loss, score, outside=None):
    outside = np.zeros(len(loss)) if outside is None else outside
    return np.stack([loss, score, outside], 1)[:, None]


@given(st.integers(0, 10_000), st.integers(2, 30))
def test_risk_by_a_naive_loop(seed, count):
    rng = np.random.default_rng(seed)
    loss, score = rng.random(count), rng.permutation(count).astype(float)
    judged = judgement(loss, score)
    naive = [loss[score < n].mean() for n in range(1, count + 1)]
    np.testing.assert_allclose(risk.risk_by_coverage(judged), naive)
    assert risk.area(judged) == pytest.approx(np.mean(naive))
    assert risk.risk_at(judged, 1.0) == pytest.approx(loss.mean())
    assert risk.risk_at(judged, 0.5) == pytest.approx(naive[-(-count // 2) - 1])
    assert risk.coverages(risk.risk_by_coverage(judged))[-1] == 1


def test_coverage_that_rounds_badly_keeps_the_images_it_says():
    judged = judgement(np.arange(10.0), np.arange(10.0))
    assert risk.risk_at(judged, 0.7) == np.arange(7).mean()  # 0.7 * 10 is 7.000000000000001


def test_errors_of_classes_and_quantities():
    loss, score = np.array([0, 0, 1, 1.0]), np.array([1, 2, 3, 4.0])
    assert risk.error_auroc(judgement(loss, score), quantity=False) == 1.0
    assert risk.error_auroc(judgement(np.zeros(4), score), quantity=False) == 0.5
    rng = np.random.default_rng(0)
    loss, score = rng.random(50), rng.random(50)
    expected = roc_auc_score(loss > np.median(loss), score)
    assert risk.error_auroc(judgement(loss, score), quantity=True) == pytest.approx(expected)
    assert risk.outside_auroc(judgement(loss, score, score > 0.5)) == 1.0


def far_and_wrong(planted, **settings):
    """Half of the test images lie far off the training images, where the radius is another function."""
    bench = planted(signal=4.0, **settings)
    rows, known = bench.source.rows["test"], bench.source.known["test"]
    far = np.arange(len(rows)) % 2 == 0
    bench.source.rows["test"] = np.where(far[:, None], -4 * rows, rows)
    known["radius"] = np.where(far, known["radius"] + 5, known["radius"])
    return bench


@pytest.mark.parametrize("target", ["class", "radius"])
def test_errors_far_from_labels_are_foretold(planted, target):
    found = measured(trust(target, shifted="none"), far_and_wrong(planted))
    labels = [30, max(labels for _, labels in found)]
    assert {name for name, _ in found} == {"error_auroc", "aurc", "risk", "risk_at_80"}
    for budget in labels:
        assert found["error_auroc", budget].low > 0.6
        assert found["risk_at_80", budget].value < found["risk", budget].value
        assert found["aurc", budget].value < found["risk", budget].value
        assert found["risk", budget].labels == budget
    assert found["risk", 30].repeats == 3


def test_shifted_views_are_told_from_test_images(planted):
    bench = planted(signal=4.0)
    found = measured(trust("radius", noise=(6.0, 8.0), coverage=0.5), bench)
    names = {f"{name}{suffix}" for name in ("error_auroc", "aurc", "risk", "risk_at_50") for suffix in SUFFIXES}
    assert {name for name, _ in found} == names | {"ood_auroc"}
    assert found["ood_auroc", 30].low > 0.8
    assert found["error_auroc_both", 30].low > 0.6
    assert found["risk_shifted", 30].low > found["risk", 30].high
    assert {m.split for m in found.values()} == {"test"}
    picture = bench.shown.pictures["trust/radius"]
    assert picture.shape[2] == 3
    assert 0 <= picture.min() < picture.max() <= 1


SUFFIXES = ("", "_shifted", "_both")


def test_another_split_may_be_what_is_shifted(planted):
    bench = planted(signal=4.0)
    bench.source.rows["val"] = 5 * bench.source.rows["val"]
    found = measured(trust("class", shifted="val"), bench)
    assert found["risk_shifted", 30].split == "val"
    assert found["risk_both", 30].split == "test"
    assert found["ood_auroc", 30].low > 0.8


def test_noise_says_nothing(planted):
    found = measured(trust("class", "radius", shifted="none"), planted(signal=0.0))
    assert all(abs(m.value - 0.5) < 0.1 for (name, _), m in found.items() if name == "error_auroc")


def test_too_few_errors_to_rank_are_counted(planted):
    found = measured(trust("class", shifted="none"), planted(signal=30.0))
    assert not [key for key in found if key[0] == "error_auroc"]
    assert found["error_auroc_undefined", 30].value == 1.0
    assert found["risk", 30].value == 0.0


def test_constant_features_and_two_runs(planted):
    bench = planted()
    bench.source.rows = {split: np.full_like(rows, 0.1) for split, rows in bench.source.rows.items()}
    assert measured(trust("class", shifted="none"), bench)["error_auroc", 30].value == 0.5
    first, again = (measured(trust("class"), planted()) for _ in "ab")
    assert first == again


@pytest.mark.parametrize(
    ("options", "settings", "message"),
    [
        ({"targets": ("mass",)}, {}, "no target 'mass'"),
        ({"targets": ("class",), "shifted": "shfited"}, {}, "no split 'shfited'"),
        ({"targets": ("class",)}, {"sizes": (240, 60, 8)}, r"'test' has \d images .* needs 10"),
        ({"targets": ("class",)}, {"budgets": (1,)}, "1 labelled images holds one class only"),
    ],
)
def test_trust_refuses_in_one_message(planted, options, settings, message):
    with pytest.raises(UserError, match=message):
        measured(Trust(TrustOptions(**options)), planted(**settings))
