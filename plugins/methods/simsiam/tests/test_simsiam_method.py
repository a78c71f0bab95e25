import io
import math
import sys
from subprocess import run

import pytest
import torch
from deeplense_simsiam.method import SimSiam, predictor, projector
from deeplense_simsiam.objective import negative_cosine, symmetric
from deeplense_simsiam.options import SimSiamOptions
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules.heads import SimSiamPredictionHead, SimSiamProjectionHead
from torch import nn

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

PROGRESS = Progress(step=0, steps=10, steps_per_epoch=5)


class OneOfTwo(World):
    """A loss that asks this world for anything fails."""

    size = 2

    def __init__(self, rank=0):
        self.rank = rank

    def join(self, rows):
        raise AssertionError("no image meets another")

    sum = join


class Small(Backbone):
    width = 8

    def __init__(self):
        super().__init__(None, ImageShape(1, 8, 8))
        self.convolution = nn.Conv2d(1, 8, 3, bias=False)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, images, *, pose=None):
        grid = self.norm(self.convolution(images)).relu()
        return Features(pooled=grid.mean((2, 3)), grid=grid)


def facts(batch_size=6, micro_batch=None):
    return RunFacts(
        shape=ImageShape(1, 8, 8),
        images=60,
        batch_size=batch_size,
        micro_batch=micro_batch or batch_size,
        epochs=1,
        steps=10,
        backbone=BackboneFacts(width=8, min_size=3, grid=(6, 6), batch_norm=True),
    )


def build(seed=0, **options):
    torch.manual_seed(seed)
    return SimSiam(SimSiamOptions(**{"dim": 16, "pred_dim": 4, **options}), Small, facts())


def views(count=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = tuple(torch.randn(count, 1, 8, 8, generator=generator) for _ in range(2))
    return Views(images=images, index=torch.arange(count), extras=({}, {}))


def pairs(count, width, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, count, 2, width, generator=generator, dtype=torch.float64).unbind(0)


def naive(p, z):
    """Algorithm 1 of the paper, number by number."""

    def d(a, b):
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return -dot / (math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(x * x for x in b)))

    p, z = p.tolist(), z.tolist()
    return sum(d(p[i][0], z[i][1]) / 2 + d(p[i][1], z[i][0]) / 2 for i in range(len(p))) / len(p)


@pytest.mark.parametrize(("count", "width", "seed"), [(1, 2, 0), (5, 16, 1), (7, 128, 2), (33, 64, 3)])
def test_the_loss_is_that_of_lightly_and_of_the_paper(count, width, seed):
    p, z = pairs(count, width, seed)
    d = NegativeCosineSimilarity()
    theirs = 0.5 * (d(p[:, 0], z[:, 1]) + d(p[:, 1], z[:, 0]))
    assert float(symmetric(p, z)) == pytest.approx(float(theirs), rel=1e-12)
    assert float(symmetric(p, z)) == pytest.approx(naive(p, z), rel=1e-10)


def test_no_gradient_passes_the_stop_and_half_precision_is_widened():
    p, z = (one.requires_grad_() for one in pairs(4, 8, 0))
    symmetric(p, z).backward()
    assert p.grad.any()
    assert z.grad is None
    assert negative_cosine(p.bfloat16(), z.bfloat16()).dtype == torch.float32
    assert negative_cosine(torch.zeros(3), torch.ones(3)) == 0  # no NaN


def test_two_processes_have_the_loss_of_one():
    method = build()
    p, z = pairs(8, 16, 0)
    whole = method.loss({"p": p, "z": z}, OneOfTwo(), PROGRESS).total
    halves = [
        method.loss({"p": p[rows], "z": z[rows]}, OneOfTwo(rank), PROGRESS).total
        for rank, rows in enumerate((slice(4), slice(4, 8)))
    ]
    assert float(sum(halves) / 2) == pytest.approx(float(whole), abs=1e-12)


def test_a_collapsed_model_has_the_loss_of_a_perfect_one_and_the_parts_tell_them_apart():
    method = build()
    alike = torch.ones(6, 2, 16)
    collapsed = method.loss({"p": alike, "z": alike}, OneOfTwo(), PROGRESS)
    z = pairs(200, 16, 0)[0][:, :1].expand(-1, 2, -1)
    perfect = method.loss({"p": z, "z": z}, OneOfTwo(), PROGRESS)
    assert float(collapsed.total) == pytest.approx(float(perfect.total)) == pytest.approx(-1)
    assert method.chance_level() is None
    for name in ("embedding_std", "prediction_std"):
        assert float(collapsed.parts[name]) == pytest.approx(0, abs=1e-6)
        assert 0.9 < float(perfect.parts[name]) < 1.1


def structure(head):
    """A row for each linear layer: inputs, outputs, bias; and the norm and activation after it."""
    rows = []
    for module in head:
        if isinstance(module, nn.Linear):
            bias = None if module.bias is None else "learns" if module.bias.requires_grad else "frozen"
            rows.append([module.in_features, module.out_features, bias, None, None])
        elif isinstance(module, nn.BatchNorm1d):
            rows[-1][3] = "affine" if module.affine else "plain"
        else:
            rows[-1][4] = type(module).__name__
    return [tuple(row) for row in rows]


def test_the_heads_have_the_published_structure():
    assert structure(projector(384, 2048)) == [
        (384, 384, None, "affine", "ReLU"),
        (384, 384, None, "affine", "ReLU"),
        (384, 2048, "frozen", "plain", None),
    ]
    assert structure(predictor(2048, 512)) == [
        (2048, 512, None, "affine", "ReLU"),
        (512, 2048, "learns", None, None),
    ]


def test_the_heads_compute_what_those_of_lightly_do():
    ours = nn.Sequential(projector(8, 16), predictor(16, 4))
    theirs = nn.Sequential(SimSiamProjectionHead(8, 8, 16), SimSiamPredictionHead(16, 4, 16))
    named = [(name, p) for name, p in ours.named_parameters() if name != "0.6.bias"]  # lightly leaves it out
    assert len(named) == len(list(theirs.parameters()))
    for (_, own), other in zip(named, theirs.parameters(), strict=True):
        other.data.copy_(own)
    x = torch.randn(9, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)  # the frozen bias costs digits in float32
    ours, theirs = (heads.double() for heads in (ours, theirs))
    torch.testing.assert_close(ours(x.double()), theirs(x.double()), rtol=1e-12, atol=1e-12)


def test_each_view_is_a_batch_of_its_own_and_the_embeddings_stand_still():
    method, batch = build(), views()
    outputs = method(batch, PROGRESS)
    z = method.projector(method.backbone(batch.images[1]).pooled)
    assert outputs["p"].shape == outputs["z"].shape == (6, 2, 16)
    torch.testing.assert_close(outputs["z"][:, 1], z)
    torch.testing.assert_close(outputs["p"][:, 1], method.predictor(z))
    assert (outputs["p"].requires_grad, outputs["z"].requires_grad) == (True, False)


def test_the_gradient_reaches_every_trainable_parameter():
    method = build()
    method.loss(method(views(), PROGRESS), OneOfTwo(), PROGRESS).total.backward()
    missed = [name for name, p in method.named_parameters() if p.grad is None or not p.grad.any()]
    assert missed == ["projector.6.bias"]
    assert not method.projector[6].bias.requires_grad


@pytest.mark.parametrize("recipe", [SimSiam.recipe, SimSiam.lens_recipe])
@pytest.mark.parametrize("fix", [True, False])
def test_the_predictor_keeps_its_rate_and_the_frozen_bias_is_left_out(recipe, fix):
    method = build(fix_pred_lr=fix)
    groups = list(method.parameter_groups(recipe))
    names = [name for group in groups for name in group.parameters]
    assert sorted(names) == sorted(n for n, p in method.named_parameters() if p.requires_grad)
    for group in groups:
        assert group.scheduled == (not fix or not any(name.startswith("predictor.") for name in group.parameters))
        assert group.decay or not recipe.decay_all
        assert recipe.decay_all or group.decay == all(p.ndim > 1 for p in group.parameters.values())


def test_the_recipes():
    recipe = SimSiam.recipe
    assert (recipe.optimiser, recipe.learning_rate, recipe.reference_batch, recipe.momentum) == ("sgd", 0.05, 256, 0.9)
    assert (recipe.weight_decay, recipe.decay_all, recipe.warmup_epochs, recipe.clip) == (1e-4, True, 0.0, None)
    assert SimSiam.lens_recipe.optimiser == "adamw"


def steps(method, optimiser, first, last):
    for step in range(first, last):
        progress = Progress(step=step, steps=10, steps_per_epoch=5)
        optimiser.zero_grad()
        method.loss(method(views(seed=step), progress), OneOfTwo(), progress).total.backward()
        optimiser.step()


def test_half_a_run_continued_is_a_whole_one():
    whole, half, rest = build(), build(), build(seed=1)
    optimisers = [torch.optim.SGD(m.parameters(), lr=0.05, momentum=0.9) for m in (whole, half, rest)]
    steps(whole, optimisers[0], 0, 6)
    steps(half, optimisers[1], 0, 3)
    file = io.BytesIO()
    torch.save({"method": half.state_dict(), "optimiser": optimisers[1].state_dict()}, file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    rest.load_state_dict(state["method"])
    optimisers[2].load_state_dict(state["optimiser"])
    steps(rest, optimisers[2], 3, 6)
    for name, value in whole.state_dict().items():
        assert torch.equal(rest.state_dict()[name], value), name


def test_the_views_are_two_of_a_kind_and_the_paper_recipe_is_published():
    first, second = build().view_plan().views
    assert first == second
    assert (first.size, first.scale, first.ops) == (None, (1.0, 1.0), ())
    paper = first.paper
    assert (paper.scale, paper.jitter, paper.jitter_p) == ((0.2, 1.0), (0.4, 0.4, 0.4, 0.1), 0.8)
    assert (paper.grey_p, paper.blur_p, paper.blur_sigma) == (0.2, 0.5, (0.1, 2.0))
    assert (paper.solarise_p, paper.flip) == (0.0, 0.5)


def test_the_encoder_is_the_backbone():
    method = build()
    assert method.encoder() is method.backbone


@pytest.mark.parametrize(("batch", "micro", "word"), [(1, 1, "micro_batch"), (4, 1, "micro_batch"), (4, 4, None)])
def test_a_micro_batch_without_statistics_is_refused(batch, micro, word):
    messages = list(SimSiamOptions().check(facts(batch, micro)))
    assert [word in m for m in messages] == ([True] if word else [])


@pytest.mark.parametrize("wrong", [{"dim": 1}, {"pred_dim": 0}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SimSiamOptions(**wrong)


def test_it_is_found_and_its_options_need_no_torch():
    (row,) = catalogue([one for one in scan() if (one.kind, one.name) == ("method", "simsiam")])
    assert (row.state, row.found.distribution) == ("ok", "deeplense-simsiam")
    code = "import sys, deeplense_simsiam, deeplense_simsiam.options; assert 'torch' not in sys.modules"
    run([sys.executable, "-c", code], check=True)
