"""Effective rank: of matrices whose spectrum is known, and of those on which a careless entropy is NaN."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deeplense_registry.blocks.spectrum import effective_rank

sizes = st.integers(1, 12)


def normal(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(sizes, sizes, st.floats(1e-20, 1e20))
def test_orthogonal_directions_of_equal_weight_count_fully(rows: int, columns: int, scale: float) -> None:
    assert float(effective_rank(scale * torch.eye(rows, columns))) == pytest.approx(min(rows, columns))


def test_it_is_the_entropy_of_shares() -> None:
    q, _ = torch.linalg.qr(normal(9, 3))
    r, _ = torch.linalg.qr(normal(5, 3, seed=1))
    weights = torch.tensor([6.0, 3.0, 1.0], dtype=torch.float64)
    expected = math.exp(-sum(p * math.log(p) for p in (0.6, 0.3, 0.1)))
    assert float(effective_rank(q @ weights.diag() @ r.T)) == pytest.approx(expected, rel=1e-12)


@given(sizes, sizes, st.integers(0, 99))
def test_between_one_and_the_rank_whatever_the_scale(rows: int, columns: int, seed: int) -> None:
    x = normal(rows, columns, seed)
    rank = float(effective_rank(x))
    assert 1 - 1e-12 <= rank <= min(rows, columns) + 1e-9
    assert float(effective_rank(-3e-9 * x)) == pytest.approx(rank)
    assert float(effective_rank(x[torch.arange(rows).flip(0)])) == pytest.approx(rank)


@pytest.mark.parametrize("value", [0.0, 1.0, -3.7e-30, 2e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constants_have_rank_one(value: float, dtype: torch.dtype) -> None:
    assert float(effective_rank(torch.full((64, 16), value, dtype=dtype))) == pytest.approx(1.0, abs=1e-9)


def test_float64_and_no_gradient_whatever_comes() -> None:
    rank = effective_rank(normal(8, 4).float().requires_grad_())
    assert rank.dtype == torch.float64
    assert not rank.requires_grad
