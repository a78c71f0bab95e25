"""The learners beside naive references."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from deeplense_probes import deeplense_components, logistic
from deeplense_probes.logistic import predict_classes
from deeplense_probes.neighbours import predict_by_neighbours
from deeplense_probes.protocol import Split
from deeplense_probes.regression import predict_quantity
from scipy.optimize import minimize
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from deeplense_registry import catalogue, scan


def labelled(count, width=6, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return Split(rng.normal(size=(count, width)), rng.integers(0, classes, count))


def quantities(count, seed=0, noise=0.0, width=40):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, width))
    return Split(features, features[:, 0] + noise * rng.normal(size=count))


@pytest.mark.parametrize("classes", [3, None])
def test_neighbours_by_a_naive_loop(classes):
    train, test = labelled(50), labelled(7, seed=1).features
    found = predict_by_neighbours(train, test=test, k=5, temperature=0.07, classes=classes).values
    for row, query in zip(found, test, strict=True):
        cosines = [f @ query / np.sqrt((f @ f) * (query @ query)) for f in train.features]
        nearest = sorted(range(50), key=lambda n: -cosines[n])[:5]
        weights = {n: np.exp(cosines[n] / 0.07) for n in nearest}
        total = sum(weights.values())
        if classes:
            expected = [sum(weights[n] for n in nearest if train.truth[n] == k) / total for k in range(classes)]
        else:
            expected = sum(weights[n] * train.truth[n] for n in nearest) / total
        np.testing.assert_allclose(row, expected, rtol=1e-10)


def test_neighbours_by_scikit_learn():
    train, test = labelled(3000), labelled(1500, seed=1).features  # more than one block

    def weigh(distances):
        return np.exp((1 - distances) / 0.1)

    settings = {"n_neighbors": 20, "metric": "cosine", "algorithm": "brute", "weights": weigh}
    classifier = KNeighborsClassifier(**settings).fit(train.features, train.truth)
    regressor = KNeighborsRegressor(**settings).fit(train.features, train.truth.astype(float))
    ours = predict_by_neighbours(train, test=test, k=20, temperature=0.1, classes=3).values
    np.testing.assert_allclose(ours, classifier.predict_proba(test), atol=1e-9)
    ours = predict_by_neighbours(train, test=test, k=20, temperature=0.1, classes=None).values
    np.testing.assert_allclose(ours, regressor.predict(test), atol=1e-9)


def test_more_neighbours_than_labels_are_all_of_them():
    train, test = labelled(4), labelled(3, seed=1).features
    few = predict_by_neighbours(train, test=test, k=4, temperature=0.5, classes=3).values
    many = predict_by_neighbours(train, test=test, k=100, temperature=0.5, classes=3).values
    np.testing.assert_array_equal(few, many)


def test_an_embedding_of_zeros_and_a_cold_vote_stay_finite():
    train = labelled(10)
    found = predict_by_neighbours(train, test=np.zeros((1, 6)), k=10, temperature=1e-4, classes=3).values
    np.testing.assert_allclose(found[0], np.bincount(train.truth, minlength=3) / 10)
    assert np.isfinite(predict_by_neighbours(train, test=train.features, k=3, temperature=1e-4, classes=3).values).all()


def test_logistic_regression_minimises_what_it_says():
    train, test, strength = labelled(60), labelled(5, seed=1).features, 0.1

    def objective(flat):
        weights, bias = flat[:18].reshape(6, 3), flat[18:]
        logits = train.features @ weights + bias
        entropy = np.log(np.exp(logits).sum(1)) - logits[np.arange(60), train.truth]
        return entropy.mean() + strength / 2 * (weights**2).sum()

    best = minimize(objective, np.zeros(21), tol=1e-10).x
    logits = test @ best[:18].reshape(6, 3) + best[18:]
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = predict_classes(train, val=None, test=test, classes=3, strengths=(strength,), iterations=500)
    np.testing.assert_allclose(found.values, expected, atol=1e-3)
    assert found.converged


def test_classes_without_labels_have_probability_zero():
    train = labelled(30, classes=2)
    found = predict_classes(train, val=None, test=train.features, classes=4, strengths=(1.0,), iterations=500).values
    assert (found[:, 2:] == 0).all()
    np.testing.assert_allclose(found.sum(1), 1)


@pytest.mark.parametrize("tried", [(1e-4, 1.0), (1.0, 1e-4)])
def test_regularisation_of_classes_is_chosen_on_validation(tried):
    def noisy(count, seed):
        rng = np.random.default_rng(seed)
        features = rng.normal(size=(count, 40))
        return Split(features, (features[:, 0] + 2 * rng.normal(size=count) > 0).astype(int))

    train, val, test = noisy(40, 0), noisy(400, 1), noisy(50, 2).features
    settings = {"test": test, "classes": 2, "iterations": 5000}
    chosen = predict_classes(train, val=val, strengths=tried, **settings).values
    stiff = predict_classes(train, val=None, strengths=(1.0,), **settings).values
    free = predict_classes(train, val=None, strengths=(1e-4,), **settings).values
    np.testing.assert_allclose(chosen, stiff)  # the labels are noise: fitting them hurts
    assert np.abs(free - stiff).max() > 0.3
    separable = Split(val.features, (val.features[:, 0] > 0).astype(int))
    both = predict_classes(separable, val=separable, strengths=tried, **settings).values
    alone = predict_classes(separable, val=None, strengths=(1e-4,), **settings).values
    np.testing.assert_allclose(both, alone, atol=0.02)  # and here it does not


def test_alpha_is_chosen_on_validation():
    test = quantities(50, seed=3).features
    exact, noisy = quantities(200), quantities(45, noise=3.0)
    val = quantities(400, seed=2)
    of = {alpha: predict_quantity(exact, val=None, test=test, alphas=(alpha,)).values for alpha in (1e-4, 10.0)}
    np.testing.assert_array_equal(predict_quantity(exact, val=val, test=test, alphas=(10.0, 1e-4)).values, of[1e-4])
    of = {alpha: predict_quantity(noisy, val=None, test=test, alphas=(alpha,)).values for alpha in (1e-4, 10.0)}
    np.testing.assert_array_equal(predict_quantity(noisy, val=val, test=test, alphas=(1e-4, 10.0)).values, of[10.0])


def test_ridge_is_its_closed_form():
    train, test, alpha = quantities(30, noise=1.0, width=5), quantities(4, seed=1, width=5).features, 0.3
    centred, mean = train.features - train.features.mean(0), train.truth.mean()
    weights = np.linalg.solve(centred.T @ centred / 30 + alpha * np.eye(5), centred.T @ (train.truth - mean) / 30)
    expected = (test - train.features.mean(0)) @ weights + mean
    found = predict_quantity(train, val=None, test=test, alphas=(alpha,)).values
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_other_warnings_of_a_fit_come_through(monkeypatch):
    def fit(self, features, truth):
        warnings.warn("odd", RuntimeWarning, stacklevel=1)

    monkeypatch.setattr(logistic.LogisticRegression, "fit", fit)
    with pytest.warns(RuntimeWarning, match="odd"):
        assert logistic._fit(logistic.LogisticRegression(), labelled(5))


def test_the_three_entry_points_work():
    rows = catalogue([one for one in scan() if one.distribution == "deeplense-probes"])
    assert {(row.found.kind, row.found.name, row.state) for row in rows} == {
        ("evaluator", name, "ok") for name in ("linear", "ridge", "knn")
    }
    assert len(list(deeplense_components())) == 3


def test_declaring_and_options_import_no_torch():
    code = "import deeplense_probes.options, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
