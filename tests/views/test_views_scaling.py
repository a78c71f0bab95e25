from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplense_registry import UserError
from deeplense_registry.spec.tables import FluxTable
from deeplense_registry.views import BandStatistics, Scaling

Kind = Literal["zscore", "asinh", "minmax", "none"]
STATISTICS = BandStatistics((1.0, -2.0), (0.5, 4.0))
MEAN, STD = np.array([1.0, -2.0])[:, None, None], np.array([0.5, 4.0])[:, None, None]


@given(softening=st.floats(0.01, 100), seed=st.integers(0, 99), partners=st.booleans())
@settings(max_examples=30, deadline=None)
def test_scalings_against_their_formulas(softening: float, seed: int, partners: bool) -> None:
    shape = (3, 4, 2, 5, 6) if partners else (3, 2, 5, 6)
    images = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 10
    before, flux = images.clone(), images.double().numpy()
    z = (flux - MEAN) / STD
    low, high = flux.min((-3, -2, -1), keepdims=True), flux.max((-3, -2, -1), keepdims=True)
    expected: dict[Kind, Any] = {
        "none": flux,
        "zscore": z,
        "asinh": softening * np.arcsinh(z / softening),
        "minmax": (flux - low) / (high - low),
    }
    for kind, reference in expected.items():
        ours = Scaling(FluxTable(scaling=kind, softening=softening), STATISTICS)(images)
        np.testing.assert_allclose(ours.numpy(), reference, rtol=1e-4, atol=1e-4 if kind == "asinh" else 1e-5)
    assert torch.equal(images, before), "the input is left alone"


def test_a_constant_image_is_no_division_by_zero() -> None:
    assert torch.equal(
        Scaling(FluxTable(scaling="minmax"), STATISTICS)(torch.ones(1, 2, 3, 3)), torch.zeros(1, 2, 3, 3)
    )


@pytest.mark.parametrize("kind", ["zscore", "asinh", "minmax", "none"])
def test_a_record_restores_it(kind: Kind) -> None:
    scaling = Scaling(FluxTable(scaling=kind, softening=0.3), STATISTICS)
    restored = Scaling.from_json(json.loads(json.dumps(scaling.as_json())))
    assert restored.as_json() == scaling.as_json()
    images = torch.randn(2, 2, 4, 4)
    assert torch.equal(restored(images), scaling(images))


@pytest.mark.parametrize(
    "change",
    [
        {"scaling": "sqrt"},
        {"scaling": None},
        {"softening": "x"},
        {"softening": -1.0},
        {"mean": [0.0]},
        {"std": None},
        {"mean": []},
    ],
)
def test_a_damaged_record_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(UserError, match="recorded flux scaling"):
        Scaling.from_json({**Scaling(FluxTable(), STATISTICS).as_json(), **change})


def test_anything_with_mean_and_std_will_do() -> None:
    statistics = SimpleNamespace(mean=[0.0], std=np.array([2.0]))
    assert Scaling(FluxTable(), statistics)(torch.ones(1, 1, 1, 1)).item() == 0.5


def test_a_band_that_does_not_vary_is_refused_where_it_divides() -> None:
    flat = BandStatistics((0.0, 0.0), (1.0, 0.0))
    kinds: tuple[Kind, ...] = ("zscore", "asinh")
    for kind in kinds:
        with pytest.raises(UserError, match=r"not positive in band 1"):
            Scaling(FluxTable(scaling=kind), flat)
    Scaling(FluxTable(scaling="minmax"), flat)


def test_other_bands_are_refused() -> None:
    with pytest.raises(UserError, match="images of 3 bands, but it was made for 2"):
        Scaling(FluxTable(scaling="none"), STATISTICS)(torch.zeros(1, 3, 4, 4))
    with pytest.raises(ValueError, match="1 means for 2"):
        BandStatistics((0.0,), (1.0, 1.0))
