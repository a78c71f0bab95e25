"""The head that starts as a probe, against scikit-learn's."""

import numpy as np
import pytest
import torch
from deeplense_finetune.head import STRENGTHS, UNCHOSEN, start_as_probe
from deeplense_finetune.objective import objective_for
from deeplense_finetune.options import FinetuneOptions
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from torch import nn

CPU = torch.device("cpu")
WIDTH, CLASSES = 6, 3


def planted(count=90, seed=0):
    """Features of uneven scale, one of them constant, and what depends on them."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(count, WIDTH))
    features = hidden * [0.01, 1.0, 30.0, 1.0, 1.0, 0.0] + [0.0, 5.0, 0.0, 0.0, 0.0, 2.0]
    noisy = hidden + 0.8 * rng.normal(size=hidden.shape)
    return features.astype(np.float32), noisy[:, :CLASSES].argmax(1), noisy[:, 0] - 2.0 * noisy[:, 1] + 3.0


def tensors(features, truth):
    kind = torch.float32 if truth.dtype.kind == "f" else torch.int64
    return torch.tensor(features), torch.tensor(truth, dtype=kind)


def started(train, truth, val=None, outputs=CLASSES, classes=CLASSES, **options):
    objective = objective_for(FinetuneOptions(targets=("class",), **options), truth, classes, CPU)
    head = nn.Linear(WIDTH, outputs)
    start_as_probe(head, objective, torch.tensor(train), tensors(train, truth), val and tensors(*val))
    with torch.no_grad():
        return objective.predict(head(torch.tensor(train))).double().numpy(), head, objective


def standardised(features):
    deviation = features.std(0)
    return (features - features.mean(0)) / np.where(deviation > 0, deviation, 1.0)


@pytest.mark.parametrize("weighting", ["none", "balanced"])
def test_classes_are_those_of_scikit_learn(weighting):
    train, truth, _ = planted()
    weights = None if weighting == "none" else "balanced"
    model = LogisticRegression(C=1 / (UNCHOSEN[0] * len(truth)), tol=1e-8, max_iter=5000, class_weight=weights)
    expected = model.fit(standardised(train), truth).predict_proba(standardised(train))
    np.testing.assert_allclose(started(train, truth, weighting=weighting)[0], expected, atol=2e-3)


def test_quantities_are_those_of_scikit_learn():
    train, _, truth = planted()
    scaled = (truth - truth.mean()) / truth.std()
    model = Ridge(alpha=UNCHOSEN[0] / 2 * len(truth)).fit(standardised(train), scaled)
    expected = truth.mean() + truth.std() * model.predict(standardised(train))
    np.testing.assert_allclose(started(train, truth, outputs=1, classes=0)[0], expected, atol=1e-3)


def test_the_strength_is_the_best_on_validation():
    (train, truth, _), (other, known, _) = planted(20), planted(200, seed=1)
    _, head, objective = started(train, truth, (other, known))
    with torch.no_grad():
        chosen = float(objective.loss(head(torch.tensor(other)), torch.tensor(known)))
    losses = []
    for strength in STRENGTHS:
        model = LogisticRegression(C=1 / (strength * len(truth)), tol=1e-8, max_iter=5000)
        model.fit(standardised(train), truth)
        rows = (other - train.mean(0)) / np.where(train.std(0) > 0, train.std(0), 1.0)
        losses.append(log_loss(known, model.predict_proba(np.where(train.std(0) > 0, rows, 0.0))))
    assert 0 < np.argmin(losses) < len(STRENGTHS) - 1  # the test would see either end
    assert chosen == pytest.approx(min(losses), abs=2e-3)


def test_a_constant_feature_counts_for_nothing():
    train, truth, _ = planted()
    assert not started(train, truth)[1].weight[:, -1].any()


@pytest.mark.parametrize("regression", ["nll", "bins"])
def test_every_objective_starts_from_what_it_would_learn(regression):
    train, _, truth = planted(300)
    predicted, *_ = started(
        train, truth, outputs=2 if regression == "nll" else 20, classes=0, regression=regression, bins=20
    )
    assert np.corrcoef(predicted, truth)[0, 1] > 0.75  # of 0.78 that the noise leaves
