"""A class held out of the reference set."""

import numpy as np
import pytest
from deeplense_discovery.anomaly import Anomaly
from deeplense_discovery.detectors import DETECTORS
from deeplense_discovery.options import AnomalyOptions

from deeplense_registry import UserError
from deeplense_registry.evaluation import judge


def anomaly(**options):
    return Anomaly(AnomalyOptions(**{"target": "class", "trees": 50, **options}))


def measured(evaluator, bench):
    return {m.metric: m for m in judge(evaluator, "anomaly", bench)}


def test_a_planted_class_stands_out_of_the_others(planted):
    found = measured(anomaly(), planted(signal=8.0))
    names = {f"auroc_{name}{held}" for name in DETECTORS for held in ("", "_axion", "_cdm", "_none")}
    assert set(found) == names
    assert min(found[f"auroc_{name}"].value for name in ("knn", "density")) > 0.95
    assert found["auroc_isolation_forest"].value > 0.7
    held = [found[f"auroc_knn_{name}"].value for name in ("axion", "cdm", "none")]
    assert found["auroc_knn"].value == pytest.approx(np.mean(held))


def test_noise_is_chance_and_again_the_same(planted):
    first, again = (measured(anomaly(), planted(signal=0.0)) for _ in "ab")
    assert first == again
    assert all(abs(m.value - 0.5) < 0.13 for m in first.values())


def test_one_class_and_one_detector(planted):
    found = measured(anomaly(held_out="cdm", detectors=("knn",)), planted(signal=8.0))
    assert set(found) == {"auroc_knn_cdm"}


def test_a_class_that_training_lacks_needs_nothing_else(planted):
    bench = planted(signal=8.0)
    train = bench.source.known["train"]["class"]
    bench.source.rows["train"] = bench.source.rows["train"][train != 1]
    bench.source.known["train"]["class"] = train[train != 1]
    assert measured(anomaly(held_out="cdm"), bench)["auroc_density_cdm"].value > 0.95


@pytest.mark.parametrize("detector", DETECTORS)
def test_detectors_bear_features_that_do_not_vary(detector):
    reference = np.full((20, 5), 0.1, dtype=np.float32)
    found = DETECTORS[detector](reference, reference[:3], AnomalyOptions(target="class", trees=10), 0)
    assert np.isfinite(found).all()
    assert len(set(found.tolist())) == 1
    reference[:, 0] = np.arange(20)
    assert np.isfinite(DETECTORS[detector](reference, reference, AnomalyOptions(target="class", trees=10), 0)).all()


def spoiled(planted, change):
    bench = planted()
    for split in ("train", "test"):
        bench.source.known[split]["class"] = change(split, bench.source.known[split]["class"])
    return bench


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda split, known: np.where(known == 1, 0, known) if split == "test" else known, "no test image.*'cdm'"),
        (lambda split, known: np.where(known > 0, 0, known), "are of one class"),
        (lambda split, known: np.where(known != 0, -1, 0) if split == "train" else known, "0 training images remain"),
        (lambda split, known: np.full_like(known, -1) if split == "train" else known, "a reference set needs 10"),
    ],
)
def test_too_few_of_something_is_said(planted, change, message):
    with pytest.raises(UserError, match=message):
        measured(anomaly(), spoiled(planted, change))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "radius"}, "'radius' is a quantity, and a class is needed; .* of that kind: 'class'"),
        ({"target": "mass"}, "no target 'mass'"),
        ({"held_out": "cmd"}, "no class 'cmd'; its classes: 'axion', 'cdm', 'none'"),
    ],
)
def test_anomaly_refuses_in_one_message(planted, options, message):
    with pytest.raises(UserError, match=message):
        measured(anomaly(**options), planted())
