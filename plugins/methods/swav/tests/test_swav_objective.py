import math

import pytest
import torch
from deeplense_swav.objective import entropy, swapped_prediction
from hypothesis import given, settings
from hypothesis import strategies as st
from lightly.loss import SwaVLoss
from worlds import alone

from deeplense_registry.blocks import normalise
from deeplense_registry.blocks.sinkhorn import sinkhorn


def scores(seed, images, views, prototypes, queue=0):
    """Scores of the views, (B, V, K), and of a queue for each of the first two, (2, L, K), float64."""
    generator = torch.Generator().manual_seed(seed)
    z, rows, c = (
        normalise(torch.randn(*shape, 12, generator=generator, dtype=torch.float64))
        for shape in ((images, views), (2, queue), (prototypes,))
    )
    return z @ c.T, rows @ c.T


def naive(logits, assignments):
    """Equation 2 for every pair of an assigned view and another, one image at a time."""
    images, views, prototypes = logits.shape
    total = 0.0
    for a in range(assignments.shape[1]):
        of_view = 0.0
        for v in range(views):
            if v == a:
                continue
            for b in range(images):
                terms = [math.exp(float(logits[b, v, k])) for k in range(prototypes)]
                of_view -= sum(float(assignments[b, a, k]) * math.log(terms[k] / sum(terms)) for k in range(prototypes))
        total += of_view / images / (views - 1)
    return total / assignments.shape[1]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("images", "local", "prototypes", "queue"), [(5, 6, 7, 0), (8, 0, 3, 0), (4, 6, 11, 12)])
def test_loss_and_gradient_are_lightlys(seed, images, local, prototypes, queue):
    s, rows = scores(seed, images, 2 + local, prototypes, queue)
    ours, theirs = s.clone().requires_grad_(), s.clone().requires_grad_()
    with_queue = torch.cat([ours.detach()[:, :2].transpose(0, 1), rows], dim=1)
    assignments = sinkhorn(with_queue, alone())[:, :images].transpose(0, 1)
    loss = swapped_prediction(ours / 0.1, assignments)
    views = list(theirs.unbind(1))
    expected = SwaVLoss(temperature=0.1)(views[:2], views[2:], list(rows) if queue else None)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), abs=1e-12)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=1e-12)


@given(seed=st.integers(0, 99), images=st.integers(1, 4), views=st.integers(2, 5), prototypes=st.integers(2, 5))
@settings(max_examples=30, deadline=None)
def test_the_loss_is_the_papers_term_by_term(seed, images, views, prototypes):
    s, _ = scores(seed, images, views, prototypes)
    assignments = sinkhorn(s[:, :2].transpose(0, 1), alone()).transpose(0, 1)
    assert float(swapped_prediction(s / 0.1, assignments)) == pytest.approx(naive(s / 0.1, assignments), abs=1e-10)


def test_entropy_is_zero_when_certain_and_log_k_when_not():
    p = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.25] * 4])
    torch.testing.assert_close(entropy(p), torch.tensor([0.0, math.log(4)]))
