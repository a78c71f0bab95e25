"""What the tests of the views share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch

from deeplense_registry.components import DatasetCard, ImageShape
from deeplense_registry.interfaces import ViewPlan, ViewSpec
from deeplense_registry.spec.tables import FluxTable, ViewsTable
from deeplense_registry.views import BandStatistics, Pipeline, Scaling

STILL: dict[str, Any] = {"rotate": False, "flip": False, "shift": 0.0, "zoom": (1.0, 1.0), "noise": (0.0, 0.0)}

Build = Callable[..., Pipeline]


@pytest.fixture
def build() -> Build:
    """``build(*views, size=, bands=, flux=, std=, centred=, still=, **table)``: a pipeline for square images.

    With ``still`` (the default) only what ``table`` names may change, and flux stays flux.
    """

    def make(
        *views: ViewSpec,
        size: int = 32,
        bands: tuple[str, ...] = ("x",),
        flux: Literal["zscore", "asinh", "minmax", "none"] = "none",
        std: float = 1.0,
        centred: bool = False,
        still: bool = True,
        **table: Any,
    ) -> Pipeline:
        shape = ImageShape(len(bands), size, size)
        card = DatasetCard(name="test", shape=shape, bands=bands, pixel_scale=0.1, targets={}, splits={})
        statistics = BandStatistics((0.0,) * len(bands), (std,) * len(bands))
        scaling = Scaling(FluxTable(scaling=flux), statistics)
        options = ViewsTable(**{**(STILL if still else {}), **table})
        return Pipeline(ViewPlan(views=views or (ViewSpec(),)), options, scaling, card, statistics, centred=centred)

    return make


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(20)
