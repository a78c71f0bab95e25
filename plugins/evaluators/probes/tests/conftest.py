"""A real bench whose embeddings are planted: the encoder passes images of 1x1 pixels through."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from deeplense_registry import Backbone, DatasetCard, Features, ImageShape, Target
from deeplense_registry.evaluation import EncoderBench, interval, protocol
from deeplense_registry.spec import LabelsTable


class Through(Backbone):
    """The pixels are the embedding."""

    def __init__(self, width):
        super().__init__(None, ImageShape(width, 1, 1))
        self.width = width

    def forward(self, images, *, pose=None):
        return Features(pooled=images[:, :, 0, 0], grid=images)


class Arrays:
    """An image source of arrays."""

    def __init__(self, rows, targets):
        self.rows, self.known = rows, targets

    def count(self, split):
        return len(self.rows[split])

    def images(self, split, index):
        return self.rows[split][index][:, :, None, None]

    def targets(self, split, target):
        return self.known[split][target]


def make_bench(rows, targets, kinds, *, encoder="trained", budgets=(30, "all"), draws=4, **labels):
    """A bench on embeddings ``rows[split]`` (N, D) with ``targets[split][name]`` of ``kinds[name]``."""
    width = next(iter(rows.values())).shape[1]
    card = DatasetCard(
        name="planted",
        shape=ImageShape(width, 1, 1),
        bands=tuple(f"b{n}" for n in range(width)),
        pixel_scale=0.05,
        targets=kinds,
        splits={split: len(values) for split, values in rows.items()},
    )
    return EncoderBench(
        backbone=Through(width),
        encoder=encoder,
        card=card,
        source=Arrays(rows, targets),
        scaling=lambda flux: flux,
        labels=LabelsTable(budgets=budgets, draws=draws, **labels),
        device=torch.device("cpu"),
        shown=None,
    )


KINDS = {"class": Target(classes=("axion", "cdm", "none")), "radius": Target(unit="arcsec")}


def make_planted(*, signal=3.0, sizes=(240, 60, 200), width=8, seed=0, **settings):
    """Three classes along three axes, a radius that is linear in the embedding, some targets unknown."""
    rng = np.random.default_rng(seed)
    rows, targets = {}, {}
    for split, count in zip(("train", "val", "test"), sizes, strict=True):
        truth = rng.integers(0, 3, count)
        features = rng.normal(size=(count, width))
        features[:, :3] += signal * np.eye(3)[truth]
        radius = 1.0 + features @ np.linspace(-0.1, 0.2, width) if signal else rng.normal(size=count)
        unknown = rng.random(count) < 0.1
        rows[split] = (5.0 + 2.0 * features).astype(np.float32)
        targets[split] = {"class": np.where(unknown, -1, truth), "radius": np.where(unknown, np.nan, radius)}
    return make_bench(rows, targets, KINDS, **settings)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """The real interval from 40 resamples instead of 200, which is where the time goes."""
    monkeypatch.setattr(protocol, "interval", partial(interval, resamples=40))


@pytest.fixture
def bench_of():
    return make_bench


@pytest.fixture
def planted():
    return make_planted
