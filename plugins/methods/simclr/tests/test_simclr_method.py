import math
import sys
from subprocess import run

import pytest
import torch
from deeplense_simclr.method import SimCLR, projector
from deeplense_simclr.options import SimCLROptions
from lightly.loss import NTXentLoss
from torch import nn
from torch.nn import functional as F

from deeplense_registry import (
    Backbone,
    BackboneFacts,
    Features,
    ImageShape,
    Progress,
    RunFacts,
    Views,
    World,
    catalogue,
    scan,
)
from deeplense_registry.blocks.nt_xent import nt_xent, nt_xent_chance

PROGRESS = Progress(step=0, steps=10, steps_per_epoch=5)


class Alone(World):
    rank, size = 0, 1

    def join(self, rows):
        return rows

    def sum(self, value):
        return value


class Among(World):
    """One of two processes: the other's rows are given, and their gradients arrive there, as a gather's would."""

    size = 2

    def __init__(self, rank, other):
        self.rank, self.other = rank, other

    def join(self, rows):
        return torch.cat([rows, self.other] if self.rank == 0 else [self.other, rows])

    def sum(self, value):
        return 2 * value


class Small(Backbone):
    width = 8

    def __init__(self):
        super().__init__(None, ImageShape(1, 8, 8))
        self.convolution = nn.Conv2d(1, 8, 3)

    def forward(self, images, *, pose=None):
        grid = self.convolution(images).relu()
        return Features(pooled=grid.mean((2, 3)), grid=grid)


def facts(batch_size=6, micro_batch=None):
    backbone = BackboneFacts(width=8, min_size=3, grid=(6, 6), batch_norm=False)
    return RunFacts(
        shape=ImageShape(1, 8, 8),
        images=60,
        batch_size=batch_size,
        micro_batch=micro_batch or batch_size,
        epochs=1,
        steps=10,
        backbone=backbone,
    )


def build(**options):
    torch.manual_seed(0)
    return SimCLR(SimCLROptions(**options), Small, facts())


def views(count=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = tuple(torch.randn(count, 1, 8, 8, generator=generator) for _ in range(2))
    return Views(images=images, index=torch.arange(count), extras=({}, {}))


def pairs(count, width=16, seed=0):
    z = torch.randn(count, 2, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(z, dim=-1)


def naive(z, temperature):
    """Equation 1 of the paper, term by term."""
    rows, total = z.flatten(0, 1).tolist(), 0.0
    similarity = [[sum(a * b for a, b in zip(x, y, strict=True)) / temperature for y in rows] for x in rows]
    for i, scores in enumerate(similarity):
        partner = i + 1 if i % 2 == 0 else i - 1
        total += math.log(sum(math.exp(s) for j, s in enumerate(scores) if j != i)) - scores[partner]
    return total / len(rows)


@pytest.mark.parametrize("temperature", [0.1, 0.2, 0.5])
def test_the_loss_is_that_of_lightly_and_of_the_paper(temperature):
    z = pairs(7)
    ours = nt_xent(z, z, 0, temperature)[0]
    theirs = NTXentLoss(temperature=temperature)(z[:, 0], z[:, 1])
    assert float(ours) == pytest.approx(float(theirs), abs=1e-6)
    assert float(ours) == pytest.approx(naive(z, temperature), abs=1e-10)


def test_two_processes_have_the_loss_and_the_gradient_of_one():
    z, method = pairs(8), build()
    whole = z.clone().requires_grad_()
    alone = method.loss({"z": whole}, Alone(), PROGRESS)
    alone.total.backward()
    parts, totals, gradients = z.split(4), [], torch.zeros_like(z)
    top1 = 0.0
    for rank in (0, 1):
        own, other = parts[rank].clone().requires_grad_(), parts[1 - rank].clone().requires_grad_()
        loss = method.loss({"z": own}, Among(rank, other), PROGRESS)
        loss.total.backward()
        totals.append(loss.total.item())
        gradients[4 * rank : 4 * rank + 4] += own.grad / 2  # the world's loss is the mean over processes
        gradients[4 * (1 - rank) : 4 * (1 - rank) + 4] += other.grad / 2
        top1 += float(loss.parts["top1"]) / 2
    assert sum(totals) / 2 == pytest.approx(alone.total.item(), abs=1e-12)
    torch.testing.assert_close(gradients, whole.grad, rtol=0, atol=1e-12)
    assert totals[0] != pytest.approx(totals[1])
    assert top1 == pytest.approx(float(alone.parts["top1"]))


def test_chance_is_the_loss_of_embeddings_that_say_nothing():
    method = build()
    alike = torch.ones(6, 2, 4) / 2
    loss = method.loss({"z": alike}, Alone(), PROGRESS)
    assert (
        float(loss.total)
        == pytest.approx(method.chance_level(), abs=1e-6)
        == pytest.approx(nt_xent_chance(6), abs=1e-6)
    )
    assert float(loss.parts["embedding_std"]) == pytest.approx(0.0, abs=1e-6)
    assert float(loss.parts["positive_similarity"]) == pytest.approx(1.0)
    scattered = pairs(200, width=2048)
    assert float(nt_xent(scattered, scattered, 0, 0.5)[0]) == pytest.approx(nt_xent_chance(200), abs=0.05)


def test_the_parts_tell_success():
    z = pairs(6, width=64)[:, :1].expand(-1, 2, -1)
    parts = build().loss({"z": z}, Alone(), PROGRESS).parts
    assert float(parts["top1"]) == 1.0
    assert float(parts["positive_similarity"]) == pytest.approx(1.0)
    assert 0.7 < float(parts["embedding_std"]) < 1.1


@pytest.mark.parametrize("layers", [2, 3])
def test_the_projector_has_the_published_structure(layers):
    head = projector(8, 16, 4, layers)
    linear = [m for m in head if isinstance(m, nn.Linear)]
    norms = [m for m in head if isinstance(m, nn.BatchNorm1d)]
    assert [(m.in_features, m.out_features) for m in linear] == [(8, 16), *[(16, 16)] * (layers - 2), (16, 4)]
    assert [m.bias for m in linear] == [None] * layers
    assert [m.weight is not None for m in norms] == [True] * layers
    assert [m.bias is not None for m in norms] == [True] * (layers - 1) + [False]
    assert [isinstance(m, nn.ReLU) for m in head] == [False, False, True] * (layers - 1) + [False, False]


def test_the_hidden_width_is_the_backbones_unless_given():
    assert build().projector[0].out_features == 8
    assert build(hidden=32).projector[0].out_features == 32


def test_forward_keeps_images_together_and_normalises_both_views_as_one_batch():
    method, batch = build(), views()
    z = method(batch, PROGRESS)["z"]
    joint = F.normalize(build().projector(build().backbone(torch.cat(batch.images)).pooled), dim=-1)
    assert z.shape == (6, 2, 128)
    torch.testing.assert_close(z[:, 0], joint[:6])
    torch.testing.assert_close(z[:, 1], joint[6:])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert method(batch, PROGRESS)["z"].dtype == torch.float32


def test_the_gradient_reaches_every_parameter():
    method = build()
    method.loss(method(views(), PROGRESS), Alone(), PROGRESS).total.backward()
    assert [name for name, p in method.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_few_steps_find_the_positives():
    method, batch = build(), views(24)
    batch = Views(images=(batch.images[0], batch.images[0] + 0.01), index=batch.index, extras=batch.extras)
    optimiser = torch.optim.AdamW(method.parameters(), lr=1e-2)
    losses = []
    for _ in range(20):
        loss = method.loss(method(batch, PROGRESS), Alone(), PROGRESS)
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
        losses.append(float(loss.total.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_the_views_are_two_of_a_kind_and_the_paper_recipe_is_published():
    first, second = build().view_plan().views
    assert first == second
    assert (first.size, first.scale, first.ops) == (None, (1.0, 1.0), ())
    paper = first.paper
    assert (paper.scale, paper.jitter, paper.jitter_p) == ((0.08, 1.0), (0.8, 0.8, 0.8, 0.2), 0.8)
    assert (paper.grey_p, paper.blur_p, paper.solarise_p, paper.flip) == (0.2, 0.5, 0.0, 0.5)


def test_the_recipes_are_lars_as_published_and_adamw_for_lenses():
    assert (SimCLR.recipe.optimiser, SimCLR.recipe.learning_rate, SimCLR.recipe.weight_decay) == ("lars", 0.3, 1e-4)
    assert (SimCLR.lens_recipe.optimiser, SimCLR.lens_recipe.clip) == ("adamw", 3.0)
    groups = list(build().parameter_groups(SimCLR.recipe))
    assert sum(len(group.parameters) for group in groups) == len(list(build().parameters()))


def test_the_encoder_is_the_backbone():
    method = build()
    assert method.encoder() is method.backbone


@pytest.mark.parametrize(("batch", "micro", "word"), [(1, 1, "no negatives"), (4, 1, "micro_batch"), (4, 4, None)])
def test_a_batch_without_negatives_is_refused(batch, micro, word):
    messages = list(SimCLROptions().check(facts(batch, micro)))
    assert [word in m for m in messages] == ([True] if word else [])


@pytest.mark.parametrize("wrong", [{"temperature": 0.0}, {"hidden": 0}, {"output": 1}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SimCLROptions(**wrong)


def test_it_is_found_and_its_options_need_no_torch():
    (row,) = catalogue([one for one in scan() if (one.kind, one.name) == ("method", "simclr")])
    assert (row.state, row.found.distribution) == ("ok", "deeplense-simclr")
    code = "import sys, deeplense_simclr, deeplense_simclr.options; assert 'torch' not in sys.modules"
    run([sys.executable, "-c", code], check=True)
