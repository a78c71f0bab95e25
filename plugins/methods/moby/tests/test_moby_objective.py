import math

import pytest
import torch
from deeplense_moby.objective import momentum_at, queue_contrast
from hypothesis import given, settings
from hypothesis import strategies as st
from lightly.loss import NTXentLoss

from deeplense_registry.blocks import normalise


def draw(seed, *shapes):
    generator = torch.Generator().manual_seed(seed)
    return [normalise(torch.randn(*shape, generator=generator, dtype=torch.float64)) for shape in shapes]


def naive(queries, keys, queue, temperature):
    """Equation 1, one query at a time; also how often the own key is the nearest."""
    total, found = 0.0, []
    for q, k in zip(queries.tolist(), keys.tolist(), strict=True):
        own = sum(a * b for a, b in zip(q, k, strict=True)) / temperature
        others = [sum(a * b for a, b in zip(q, n, strict=True)) / temperature for n in queue.tolist()]
        total -= math.log(math.exp(own) / (math.exp(own) + sum(map(math.exp, others))))
        found.append(own >= max(others))
    return total / len(queries), found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("batch", "length", "width"), [(4, 12, 8), (7, 64, 16), (1, 3, 5)])
def test_one_direction_is_lightlys_with_its_gradient(seed, batch, length, width):
    queries, keys, queue = draw(seed, (batch, width), (batch, width), (length, width))
    ours, theirs = queries.clone().requires_grad_(), queries.clone().requires_grad_()
    oracle = NTXentLoss(temperature=0.2, memory_bank_size=(length, width))
    oracle.memory_bank.bank = queue.clone()
    expected = oracle(theirs, keys)
    loss, _ = queue_contrast(ours, keys, queue, 0.2)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), abs=1e-12)
    loss.backward()
    expected.backward()
    tangent = ours.grad - (ours.grad * queries).sum(-1, keepdim=True) * queries  # lightly normalises once more
    torch.testing.assert_close(tangent, theirs.grad, rtol=0, atol=1e-12)


@given(
    seed=st.integers(0, 99), batch=st.integers(1, 5), length=st.integers(1, 9), temperature=st.sampled_from([0.1, 1.0])
)
@settings(max_examples=30, deadline=None)
def test_one_direction_is_the_papers_term_by_term(seed, batch, length, temperature):
    queries, keys, queue = draw(seed, (batch, 6), (batch, 6), (length, 6))
    loss, found = queue_contrast(queries, keys, queue, temperature)
    expected, nearest = naive(queries, keys, queue, temperature)
    assert float(loss) == pytest.approx(expected, abs=1e-10)
    assert found.tolist() == nearest


def test_similarities_are_float32_under_autocast():
    queries, keys, queue = (rows.float() for rows in draw(0, (4, 8), (4, 8), (9, 8)))
    plain, _ = queue_contrast(queries, keys, queue, 0.2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(queue_contrast(queries, keys, queue, 0.2)[0], plain)


def test_the_momentum_follows_the_official_schedule():
    official = [0.99, 0.990245, 0.990955, 0.992061, 0.993455, 0.995, 0.996545, 0.997939, 0.999045, 0.999755]
    assert [momentum_at(0.99, k, 10) for k in range(10)] == pytest.approx(official, abs=5e-7)
    assert momentum_at(0.99, 10, 10) == 1.0
    by_formula = [1 - (1 - 0.9) * (math.cos(math.pi * k / 7) + 1) / 2 for k in range(7)]
    assert [momentum_at(0.9, k, 7) for k in range(7)] == pytest.approx(by_formula, abs=1e-15)
