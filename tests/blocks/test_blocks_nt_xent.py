import math

import pytest
import torch
from lightly.loss import NTXentLoss
from torch.nn import functional as F

from deeplense_registry.blocks.nt_xent import nt_xent, nt_xent_chance


def pairs(count, width=16, seed=0):
    z = torch.randn(count, 2, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(z, dim=-1)


def naive(z, temperature):
    rows, total = z.flatten(0, 1).tolist(), 0.0
    for i, row in enumerate(rows):
        scores = [sum(a * b for a, b in zip(row, other, strict=True)) / temperature for other in rows]
        partner = i + 1 if i % 2 == 0 else i - 1
        total += math.log(sum(math.exp(s) for j, s in enumerate(scores) if j != i)) - scores[partner]
    return total / len(rows)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("count", "temperature"), [(2, 0.1), (7, 0.5), (33, 1.0)])
def test_it_is_lightlys_and_the_papers(count, temperature, seed):
    z = pairs(count, seed=seed)
    loss, _ = nt_xent(z, z, 0, temperature)
    assert float(loss) == pytest.approx(float(NTXentLoss(temperature=temperature)(z[:, 0], z[:, 1])), abs=1e-9)
    assert float(loss) == pytest.approx(naive(z, temperature), abs=1e-9)


def test_parts_of_the_rows_have_the_mean_and_the_gradient_of_all():
    z = pairs(8).requires_grad_()
    whole, found = nt_xent(z, z, 0, 0.3)
    parts = [nt_xent(z[first : first + 2], z, first, 0.3) for first in range(0, 8, 2)]
    mean = sum(loss for loss, _ in parts) / 4
    torch.testing.assert_close(mean, whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.cat([hit for _, hit in parts]), found)
    torch.testing.assert_close(*(torch.autograd.grad(loss, z)[0] for loss in (mean, whole)), rtol=0, atol=1e-12)


def test_partners_that_agree_are_found_and_rows_that_say_nothing_have_the_loss_of_chance():
    z = pairs(6)[:, :1].expand(-1, 2, -1)
    assert nt_xent(z, z, 0, 0.1)[1].all()
    alike = torch.ones(6, 2, 4) / 2
    assert float(nt_xent(alike, alike, 0, 0.1)[0]) == pytest.approx(nt_xent_chance(6), abs=1e-6)
