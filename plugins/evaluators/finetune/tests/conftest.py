"""A real bench of 8x8 images whose bands hold what is to be learned, and a small encoder that sees it."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from deeplense_registry import Backbone, DatasetCard, Features, ImageShape, Target, ViewPlan, ViewSpec
from deeplense_registry.evaluation import EncoderBench, interval, protocol
from deeplense_registry.spec import FluxTable, LabelsTable, ViewsTable
from deeplense_registry.views import BandStatistics, Pipeline, Scaling

BANDS = 4
SHAPE = ImageShape(BANDS, 8, 8)
KINDS = {"class": Target(classes=("axion", "cdm", "none")), "radius": Target(unit="arcsec")}


class Small(Backbone):
    """The bands' means, through a mixing that is the identity if it is good, and nothing if it is bad."""

    width = BANDS

    def __init__(self, good=True, dropout=0.0):
        super().__init__(None, SHAPE)
        self.mix = nn.Conv2d(BANDS, BANDS, 1, bias=False)
        self.norm = nn.BatchNorm2d(BANDS)
        self.drop = nn.Dropout(dropout)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            self.mix.weight.copy_(torch.eye(BANDS)[:, :, None, None])
            if not good:
                self.mix.weight.zero_()[:, -1] = torch.randn(BANDS, 1, 1, generator=generator)

    def forward(self, images, *, pose=None):
        grid = self.norm(self.mix(images))
        return Features(pooled=self.drop(grid.mean((2, 3))), grid=grid)


class Arrays:
    """An image source of arrays."""

    def __init__(self, arrays, targets):
        self.arrays, self.known = arrays, targets

    def count(self, split):
        return len(self.arrays[split])

    def images(self, split, index):
        return self.arrays[split][index]

    def targets(self, split, target):
        return self.known[split][target]

    def meta(self, split, name):
        return np.full(self.count(split), np.nan)


def make_planted(*, signal=2.0, sizes=(120, 60, 150), shares=(1, 1, 1), backbone=None, encoder="trained", **labels):
    """Class k brightens band k; the radius is linear in the bands; a tenth of the targets is unknown."""
    rng = np.random.default_rng(0)
    arrays, targets = {}, {}
    for split, count in zip(("train", "val", "test"), sizes, strict=True):
        truth = rng.choice(3, count, p=np.divide(shares, sum(shares)))
        level = rng.normal(size=(count, BANDS))
        level[:, :3] += signal * np.eye(3)[truth]
        noise = 0.3 * rng.normal(size=(count, BANDS, 8, 8))
        unknown = rng.random(count) < 0.1
        radius = 1.0 + 0.1 * (level[:, 0] - level[:, 1]) if signal else rng.normal(size=count)
        arrays[split] = (level[:, :, None, None] + noise).astype(np.float32)
        targets[split] = {"class": np.where(unknown, -1, truth), "radius": np.where(unknown, np.nan, radius)}
    card = DatasetCard(
        name="planted", shape=SHAPE, bands=("g", "r", "i", "z"), pixel_scale=0.05, targets=KINDS,
        splits=dict(zip(("train", "val", "test"), sizes, strict=True)),
    )  # fmt: skip
    statistics = BandStatistics((0.0,) * BANDS, (1.0,) * BANDS)
    scaling = Scaling(FluxTable(scaling="none"), statistics)

    def pipeline(table):
        return Pipeline(ViewPlan(views=(ViewSpec(),)), table or ViewsTable(), scaling, card, statistics)

    return EncoderBench(
        backbone=backbone or Small(),
        encoder=encoder,
        card=card,
        source=Arrays(arrays, targets),
        scaling=scaling,
        labels=LabelsTable(**{"budgets": (30,), "draws": 3, **labels}),
        device=torch.device("cpu"),
        shown=None,
        pipeline=pipeline,
    )


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """The real interval from 40 resamples instead of 200."""
    monkeypatch.setattr(protocol, "interval", partial(interval, resamples=40))


@pytest.fixture
def planted():
    return make_planted


@pytest.fixture
def small():
    return Small
