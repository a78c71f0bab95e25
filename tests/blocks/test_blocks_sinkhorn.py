import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightly.loss.swav_loss import sinkhorn as lightlys
from worlds import alone, together

from deeplense_registry.blocks import normalise
from deeplense_registry.blocks.sinkhorn import sinkhorn


def scores(rows, prototypes, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    z, c = (normalise(torch.randn(n, 8, generator=generator, dtype=dtype)) for n in (rows, prototypes))
    return z @ c.T


def naive(s, epsilon, iterations):
    """Algorithm 1 of the supplement (section A.1), entry by entry, with the divisions that cancel."""
    rows, prototypes = len(s), len(s[0])
    q = [[math.exp(s[n][k] / epsilon) for n in range(rows)] for k in range(prototypes)]
    total = sum(map(sum, q))
    q = [[x / total for x in row] for row in q]
    for _ in range(iterations):
        q = [[x / (sum(row) * prototypes) for x in row] for row in q]
        columns = [sum(row[n] for row in q) for n in range(rows)]
        q = [[x / (columns[n] * rows) for n, x in enumerate(row)] for row in q]
    return torch.tensor([[q[k][n] * rows for k in range(prototypes)] for n in range(rows)], dtype=torch.float64)


@given(
    rows=st.integers(1, 12),
    prototypes=st.integers(2, 7),
    seed=st.integers(0, 999),
    epsilon=st.sampled_from([0.03, 0.05, 0.1, 1.0]),
    iterations=st.integers(1, 5),
)
@settings(max_examples=50, deadline=None)
def test_it_is_lightlys_and_the_papers(rows, prototypes, seed, epsilon, iterations):
    s = scores(rows, prototypes, seed)
    ours = sinkhorn(s, alone(), epsilon=epsilon, iterations=iterations)
    theirs = lightlys(s.clone(), iterations=iterations, epsilon=epsilon, gather_distributed=False)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    torch.testing.assert_close(ours, naive(s.tolist(), epsilon, iterations), rtol=0, atol=1e-12)
    torch.testing.assert_close(ours.sum(-1), torch.ones(rows, dtype=torch.float64))


def test_the_prototypes_share_the_rows_evenly():
    shares = sinkhorn(scores(60, 5), alone(), iterations=100).sum(0)
    torch.testing.assert_close(shares, torch.full((5,), 12.0, dtype=torch.float64))
    off = [(sinkhorn(scores(60, 5), alone(), iterations=n).sum(0) - 12).abs().max() for n in (1, 3, 10)]
    assert off[0] > off[1] > off[2]


@pytest.mark.parametrize("epsilon", [0.05, 0.01, 0.001])
def test_float32_neither_overflows_nor_loses_a_row(epsilon):
    s = scores(40, 6, dtype=torch.float32)
    s[3], s[:, 2] = -1.0, -1.0  # a row and a prototype that are far from everything
    assert not torch.isfinite(lightlys(s, epsilon=0.01)).all()  # what the plain form does
    ours = sinkhorn(s, alone(), epsilon=epsilon)
    assert torch.isfinite(ours).all()
    torch.testing.assert_close(ours.sum(-1), torch.ones(40))
    torch.testing.assert_close(ours.double(), sinkhorn(s.double(), alone(), epsilon=epsilon), rtol=0, atol=2e-3)


def test_float32_is_accurate_at_the_published_epsilon():
    s = scores(200, 30, dtype=torch.float32)
    torch.testing.assert_close(sinkhorn(s, alone()).double(), sinkhorn(s.double(), alone()), rtol=0, atol=5e-6)


def test_it_works_in_float32_under_autocast_and_on_half_precision():
    s = scores(6, 3, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(sinkhorn(s, alone()), sinkhorn(s, alone()))
        assert sinkhorn(s.bfloat16(), alone()).dtype == torch.float32


def test_leading_dimensions_are_apart_and_there_is_no_gradient():
    first, second = scores(7, 4, 0), scores(7, 4, 1).requires_grad_()
    both = sinkhorn(torch.stack([first, second]), alone())
    assert not both.requires_grad
    torch.testing.assert_close(both[0], sinkhorn(first, alone()))
    torch.testing.assert_close(both[1], sinkhorn(second, alone()))


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_the_prototypes(processes):
    s = torch.stack([scores(16, 5, 0), scores(16, 5, 1)])
    parts = s.split(16 // processes, dim=1)
    assigned = together(processes, lambda world: sinkhorn(parts[world.rank], world))
    torch.testing.assert_close(torch.cat(assigned, dim=1), sinkhorn(s, alone()), rtol=0, atol=1e-14)
    apart = torch.cat([sinkhorn(part, alone()) for part in parts], dim=1)
    assert (apart - sinkhorn(s, alone())).abs().max() > 0.01
