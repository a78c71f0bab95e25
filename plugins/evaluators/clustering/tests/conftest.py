"""A real bench whose embeddings are planted: the encoder passes images of 1x1 pixels through."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from deeplense_clustering import evaluator

from deeplense_registry import Backbone, DatasetCard, Features, ImageShape, Target
from deeplense_registry.evaluation import EncoderBench, interval
from deeplense_registry.spec import LabelsTable

WIDTH = 6
CLASSES = ("axion", "cdm", "none")


class Through(Backbone):
    """The pixels are the embedding."""

    width = WIDTH

    def __init__(self):
        super().__init__(None, ImageShape(WIDTH, 1, 1))

    def forward(self, images, *, pose=None):
        return Features(pooled=images[:, :, 0, 0], grid=images)


class Arrays:
    """An image source of arrays, "test" alone."""

    def __init__(self, rows, targets):
        self.rows, self.known = rows, targets

    def count(self, split):
        return len(self.rows)

    def images(self, split, index):
        return self.rows[index][:, :, None, None]

    def targets(self, split, target):
        return self.known[target]


def make_planted(*, signal=8.0, count=150, assign=None, rows=None):
    """Three classes along three axes; a tenth of the images has no class."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, count)
    if rows is None:
        rows = rng.normal(size=(count, WIDTH)) + signal * np.eye(WIDTH)[truth]
    targets = {"class": np.where(rng.random(count) < 0.1, -1, truth), "radius": rng.random(count)}
    card = DatasetCard(
        name="planted",
        shape=ImageShape(WIDTH, 1, 1),
        bands=tuple(f"b{n}" for n in range(WIDTH)),
        pixel_scale=0.05,
        targets={"class": Target(classes=CLASSES), "radius": Target(unit="arcsec")},
        splits={"test": count},
    )
    return EncoderBench(
        backbone=Through(),
        encoder="trained",
        card=card,
        source=Arrays(rows.astype(np.float32), targets),
        scaling=lambda flux: flux,
        labels=LabelsTable(),
        device=torch.device("cpu"),
        shown=None,
        assign=assign,
    )


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """The real interval from 40 resamples instead of 200."""
    monkeypatch.setattr(evaluator, "interval", partial(interval, resamples=40))


@pytest.fixture
def planted():
    return make_planted
