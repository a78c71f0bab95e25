"""A real bench whose embeddings are planted: row n of an 8x8 image holds feature n, and the encoder reads it."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from deeplense_discovery import protocol

from deeplense_registry import Backbone, DatasetCard, Features, ImageShape, Target, ViewPlan, ViewSpec
from deeplense_registry.evaluation import EncoderBench, interval
from deeplense_registry.spec import FluxTable, LabelsTable, ViewsTable
from deeplense_registry.views import BandStatistics, Pipeline, Scaling

SIDE = 8
KINDS = {"class": Target(classes=("axion", "cdm", "none")), "radius": Target(unit="arcsec")}


class Rows(Backbone):
    """The mean of each row of pixels is a feature."""

    width = SIDE

    def __init__(self):
        super().__init__(None, ImageShape(1, SIDE, SIDE))

    def forward(self, images, *, pose=None):
        grid = images.mean(1, keepdim=True)
        return Features(pooled=grid[:, 0].mean(-1), grid=grid)


class Arrays:
    """An image source of arrays."""

    def __init__(self, rows, targets):
        self.rows, self.known = rows, targets

    def count(self, split):
        return len(self.rows[split])

    def images(self, split, index):
        return np.repeat(self.rows[split][index][:, None, :, None], SIDE, axis=3)

    def targets(self, split, target):
        return self.known[split][target]

    def names(self, split):
        return np.array([f"{split}-{n}" for n in range(self.count(split))])

    def meta(self, split, name):
        return np.full(self.count(split), np.nan)


class Album:
    """Keeps what is shown."""

    def __init__(self):
        self.pictures, self.files, self.spaces = {}, {}, {}

    def picture(self, name, image):
        self.pictures[name] = image

    def keep(self, name, content):
        self.files[name] = content

    def projector(self, name, vectors, labels, thumbnails):
        self.spaces[name] = (vectors, labels, thumbnails)


def make_bench(rows, targets, kinds, *, budgets=(30, "all"), draws=3, **labels):
    """A bench on embeddings ``rows[split]`` (N, 8) with ``targets[split][name]`` of ``kinds[name]``."""
    card = DatasetCard(
        name="planted",
        shape=ImageShape(1, SIDE, SIDE),
        bands=("b",),
        pixel_scale=0.05,
        targets=kinds,
        splits={split: len(values) for split, values in rows.items()},
    )
    train = rows["train"]
    statistics = BandStatistics((float(train.mean()),), (float(train.std()) or 1.0,))
    scaling = Scaling(FluxTable(scaling="none"), statistics)
    plan = ViewPlan(views=(ViewSpec(),))
    return EncoderBench(
        backbone=Rows(),
        encoder="trained",
        card=card,
        source=Arrays(rows, targets),
        scaling=scaling,
        labels=LabelsTable(budgets=budgets, draws=draws, **labels),
        device=torch.device("cpu"),
        shown=Album(),
        pipeline=lambda table: Pipeline(plan, table or ViewsTable(), scaling, card, statistics),
    )


def make_planted(*, signal=3.0, sizes=(240, 60, 200), seed=0, unknown=0.1, **settings):
    """Three classes along three axes, a radius that is linear in the embedding, some targets unknown."""
    rng = np.random.default_rng(seed)
    rows, targets = {}, {}
    for split, count in zip(("train", "val", "test"), sizes, strict=True):
        truth = rng.integers(0, 3, count)
        features = rng.normal(size=(count, SIDE))
        features[:, :3] += signal * np.eye(3)[truth]
        radius = 1.0 + features @ np.linspace(-0.1, 0.2, SIDE) if signal else rng.normal(size=count)
        hidden = rng.random(count) < unknown
        rows[split] = features.astype(np.float32)
        targets[split] = {"class": np.where(hidden, -1, truth), "radius": np.where(hidden, np.nan, radius)}
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
