"""Intervals hold what they promise, trust tells strangers, and what cannot be learned is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplense_registry import Target, UserError
from deeplense_registry.engine.use import Labels, Prediction, Predictor, learn, lesson, rows, write_csv
from deeplense_registry.engine.use.predicting import conformal

QUANTITY, CLASS = Target(unit="arcsec"), Target(classes=("a", "b", "c"))


def quantities(rng: np.random.Generator, count: int) -> tuple[Any, Any]:
    """(n, 4) features, and what a ridge regression learns of them but for noise that it cannot."""
    features = rng.normal(size=(count, 4)).astype(np.float32)
    noise = rng.exponential(0.3, count) * np.abs(features[:, 1])  # neither normal nor even
    return features, features[:, 0] + noise


def classes(rng: np.random.Generator, count: int, known: int = 3) -> tuple[Any, Any]:
    truth = rng.integers(0, known, count)
    return (4 * np.eye(3, 5)[truth] + rng.normal(size=(count, 5))).astype(np.float32), truth


def taught(about: Target, train: tuple[Any, Any], val: tuple[Any, Any]) -> Predictor:
    return Predictor(Labels("t", about, train[1], val[1]), train[0], val[0])


def test_intervals_cover_95_percent() -> None:
    covered = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        predictor = taught(QUANTITY, quantities(rng, 60), quantities(rng, 80))
        features, truth = quantities(rng, 200)
        prediction = predictor(features)
        assert prediction.half_width is not None
        covered.append(np.mean(np.abs(prediction.values - truth) <= prediction.half_width))
    assert 0.94 < np.mean(covered) < 0.99  # 40 errors: between 0.95 and 0.95 + 1 / 41


@given(st.lists(st.floats(0, 1e6), min_size=19, max_size=300))
def test_the_half_width_holds_its_share_of_errors(errors: list[float]) -> None:
    width = conformal(np.array(errors))
    assert width in errors
    assert np.sum(np.array(errors) <= width) >= 0.95 * (len(errors) + 1) - 1e-9


def test_a_quantity_is_learned() -> None:
    rng = np.random.default_rng(0)
    predictor = taught(QUANTITY, quantities(rng, 500), quantities(rng, 100))
    assert (predictor.labels, predictor.judged) == (500, 50)
    assert 0.5 < predictor.score < 1.0
    text = lesson(predictor)
    assert text.startswith("t: learned on 500 labelled training images; R2 0.")
    assert f"on 50 validation images, 95 % of them within {predictor.half_width:.3g} arcsec" in text


def test_classes_are_learned() -> None:
    rng = np.random.default_rng(0)
    predictor = taught(CLASS, classes(rng, 300), classes(rng, 100))
    features, truth = classes(rng, 100)
    prediction = predictor(features)
    assert prediction.half_width is None
    np.testing.assert_allclose(prediction.values.sum(1), 1.0)
    assert (prediction.values.argmax(1) == truth).mean() > 0.9
    assert (
        lesson(predictor)
        == f"t: learned on 300 labelled training images; accuracy {predictor.score:.3f} on 50 validation images"
    )


def test_a_class_without_labels_has_no_probability() -> None:
    rng = np.random.default_rng(0)
    predictor = taught(CLASS, classes(rng, 300, known=2), classes(rng, 100))
    prediction = predictor(classes(rng, 50)[0])
    assert (prediction.values[:, 2] == 0).all()
    np.testing.assert_allclose(prediction.values.sum(1), 1.0)


@pytest.mark.parametrize(("about", "make"), [(QUANTITY, quantities), (CLASS, classes)])
def test_unknown_labels_teach_nothing(about: Target, make: Any) -> None:
    rng = np.random.default_rng(0)
    train, val = make(rng, 200), make(rng, 100)
    lost = np.arange(200) >= 150
    junk = np.where(lost, -1 if about.classes else np.nan, train[1])
    one = taught(about, (train[0], junk), val)
    assert one.labels == 150
    moved = train[0].copy()
    moved[150:] = moved[rng.permutation(50) + 150]  # the same set of features, other places: nothing may depend on them
    other = taught(about, (moved, junk), val)
    features = make(rng, 20)[0]
    np.testing.assert_allclose(one(features).values, other(features).values, rtol=1e-4, atol=1e-5)


def test_strangers_are_not_trusted() -> None:
    rng = np.random.default_rng(0)
    train, val = classes(rng, 400), classes(rng, 200)
    predictor = taught(CLASS, train, val)
    inside = predictor(classes(rng, 400)[0]).trust
    assert ((inside >= 0) & (inside <= 1)).all()
    assert 0.4 < inside.mean() < 0.6  # uniform for images like the validation images
    assert 0.02 < (inside < 0.05).mean() < 0.1
    stranger = -10 * np.ones((3, 5), np.float32)
    assert (predictor(stranger).trust == 0).all()
    assert predictor(train[0][:1]).trust == 1.0  # it was learned from


def test_what_is_constant_does_no_harm() -> None:
    rng = np.random.default_rng(0)
    train, val = classes(rng, 100), classes(rng, 60)
    wide = [
        (np.concatenate([features, np.full((len(features), 2), 3.3, np.float32)], 1), t) for features, t in (train, val)
    ]
    values = taught(CLASS, *wide)(wide[1][0]).values
    assert np.isfinite(values).all()
    np.testing.assert_allclose(values, taught(CLASS, train, val)(val[0]).values, atol=1e-3)


def test_too_little_to_learn_from() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UserError, match="target 't': 39 labelled validation images; 40 are the least"):
        taught(CLASS, classes(rng, 100), classes(rng, 39))
    truth = np.where(np.arange(100) < 60, np.nan, 1.0)
    with pytest.raises(UserError, match="target 't': the labelled training images do not differ in it"):
        taught(QUANTITY, (rng.normal(size=(100, 4)), truth), quantities(rng, 50))
    with pytest.raises(UserError, match="do not differ"):
        taught(CLASS, (rng.normal(size=(100, 4)), np.full(100, -1)), classes(rng, 50))


def test_rows_of_a_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names, trust = np.array(["x", "y,z"]), np.array([1.0, 0.25])
    predictor = taught(CLASS, classes(rng, 100), classes(rng, 60))
    header, lines = rows(predictor, names, Prediction(np.array([[0.1, 0.7, 0.2], [1, 0, 0]]), None, trust))
    assert header == ["image", "t", "p(a)", "p(b)", "p(c)", "trust"]
    assert lines == [
        ["x", "b", "0.1000", "0.7000", "0.2000", "1.000"],
        ["y,z", "a", "1.0000", "0.0000", "0.0000", "0.250"],
    ]
    quantity = taught(QUANTITY, quantities(rng, 100), quantities(rng, 60))
    header, lines = rows(quantity, names, Prediction(np.array([1.0, 2.0]), 0.5, trust))
    assert header == ["image", "t [arcsec]", "low", "high", "trust"]
    assert lines[1] == ["y,z", "2", "1.5", "2.5", "0.250"]
    write_csv(tmp_path / "p.csv", header, lines)
    assert (tmp_path / "p.csv").read_text().splitlines()[2] == '"y,z",2,1.5,2.5,0.250'
    with pytest.raises(UserError, match="cannot write"):
        write_csv(tmp_path / "p.csv" / "p.csv", header, lines)


SKEW = 'skew={target="class",ratio={one=1.0,two=0.25},on="%s"}'


@pytest.mark.parametrize(("overrides", "labels"), [((), 82), ((SKEW % "both",), 51), ((SKEW % "labels",), 51)])
def test_a_run_teaches_with_the_labels_that_it_had(toy_run: Any, overrides: tuple[str, ...], labels: int) -> None:
    run = toy_run("contrast", *overrides)
    encoder, predictor = learn(run.path)
    assert (predictor.target, predictor.labels) == ("class", labels)
    assert not encoder.training
    assert learn(run.path, "width")[1].half_width is not None


def test_what_a_run_cannot_teach(toy_run: Any, tmp_path: Path) -> None:
    run = toy_run("contrast")
    with pytest.raises(UserError, match="data set 'blobs' has no target 'mass'; its targets: 'class', 'width'"):
        learn(run.path, "mass")
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "card.json").write_text("{}")
    with pytest.raises(UserError, match="predict learns from the run's labelled data"):
        learn(tmp_path / "exported")
