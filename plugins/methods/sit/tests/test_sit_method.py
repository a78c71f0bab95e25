import copy
import math
import sys
from subprocess import run

import pytest
import torch
from deeplense_sit.current import CurrentSiT, contrast_head
from deeplense_sit.method import SiT
from deeplense_sit.objective import hidden_error, teacher_contrast, teacher_contrast_chance, weigh
from deeplense_sit.options import SiTOptions
from deeplense_sit.original import OriginalSiT
from lightly.loss import NTXentLoss
from torch import nn
from torch.nn import functional as F
from toys import SHAPE, toy_facts, toy_views

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


class Alone(World):
    rank, size = 0, 1

    def join(self, rows):
        return rows

    def sum(self, value):
        return value


ALONE = Alone()


class Steps(Backbone):
    """Three grids, batch norm and stochastic depth (here: dropout), and what it was asked for."""

    width = 12

    def __init__(self, drop_path=None):
        super().__init__(None, SHAPE)
        self.rate = drop_path
        self.first = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.GELU())
        self.second = nn.Sequential(nn.Conv2d(8, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.GELU())
        self.dropout = nn.Dropout(drop_path or 0.0)

    def forward(self, images, *, pose=None):
        fine = self.dropout(self.first(images))
        coarse = self.second(fine)
        return Features(pooled=coarse.mean((2, 3)), grid=coarse, pyramid=(fine, coarse))


def build(make=Steps, facts=None, **options):
    torch.manual_seed(0)
    return SiT(SiTOptions(block=0.5, **options), make, facts or toy_facts(batch_size=8))


def corrupted(method, count=8, seed=0, dtype=torch.float32):
    """What the pipeline would make: the views of the toys after the method's own operations."""
    views, generator = toy_views(count, seed, dtype), torch.Generator().manual_seed(seed)
    images, extras = [], []
    for image, spec in zip(views.images, method.view_plan().views, strict=True):
        found = {}
        for op in spec.ops:
            image, more = op(image, generator)
            found |= more
        images.append(image)
        extras.append(found)
    return Views(tuple(images), views.index, tuple(extras))


def outputs_of(method, views):
    with torch.no_grad():
        targets = method.targets(views, PROGRESS)
    return {**method(views, PROGRESS), **targets}


def unit(count, width, seed):
    z = torch.randn(count, 2, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(z, dim=-1)


def naive_contrast(student, teacher, temperature):
    """Algorithm 1 of MoCo v3, pair by pair."""
    total = 0.0
    for view in (0, 1):
        for i, query in enumerate(student[:, view].tolist()):
            keys = teacher[:, 1 - view].tolist()
            scores = [sum(a * b for a, b in zip(query, key, strict=True)) / temperature for key in keys]
            total += 2 * temperature * (math.log(sum(map(math.exp, scores))) - scores[i]) / len(student)
    return total


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("count", "width", "temperature"), [(2, 8, 0.2), (9, 16, 0.2), (33, 64, 0.5)])
def test_the_contrast_is_the_closed_form_and_the_papers(seed, count, width, temperature):
    s, t = unit(count, width, seed), unit(count, width, seed + 100)
    loss, found = teacher_contrast(s, t, 0, temperature)
    labels = torch.arange(count)
    closed = F.cross_entropy(s[:, 0] @ t[:, 1].T / temperature, labels)
    closed = 2 * temperature * (closed + F.cross_entropy(s[:, 1] @ t[:, 0].T / temperature, labels))
    assert float(loss) == pytest.approx(float(closed), abs=1e-12)
    assert float(loss) == pytest.approx(naive_contrast(s, t, temperature), abs=1e-10)
    assert found.shape == (2 * count,)
    assert teacher_contrast(s, s.flip(1), 0, temperature)[1].all()


def test_the_hidden_error_is_the_mean_over_hidden_pixels():
    restored, clean = torch.randn(5, 3, 6, 7), torch.randn(5, 3, 6, 7)
    mask = torch.rand(5, 1, 6, 7) < 0.4
    error, count = hidden_error(restored, clean, mask)
    expected = F.l1_loss(restored, clean, reduction="none")[mask.expand_as(clean)].mean()
    torch.testing.assert_close(error.sum() / count.sum(), expected)
    assert (error.shape, count.shape) == ((5,), (5,))


def test_the_weights_of_tasks_are_as_published():
    losses, s = torch.tensor([1.3, 2.0, 0.7]), torch.tensor([1.0, 0.5, -0.2])
    expected = math.exp(-1.0) * 1.3 + 0.5 + math.exp(-0.5) * 2.0 + 0.25 + math.exp(0.1) * 0.7 - 0.1
    assert float(weigh(losses, s)) == pytest.approx(expected)


def test_the_total_is_what_its_parts_say():
    method = build()
    outputs = outputs_of(method, corrupted(method))
    loss = method.loss(outputs, ALONE, PROGRESS)
    parts = loss.parts
    expected = outputs["error"].sum() / outputs["hidden"].sum()
    assert float(parts["reconstruction"]) == pytest.approx(expected.item())
    assert loss.total.item() == pytest.approx(float(parts["contrast"] + 5 * parts["reconstruction"]), rel=1e-6)
    assert float(parts["contrast"]) == pytest.approx(naive_contrast(outputs["z"], outputs["target"], 0.2), abs=1e-5)
    assert parts["momentum"] == 0.99
    ignorant = outputs | {"z": torch.ones(8, 2, 4) / 2, "target": torch.ones(8, 2, 4) / 2}
    parts = method.loss(ignorant, ALONE, PROGRESS).parts
    assert float(parts["contrast_over_chance"]) == pytest.approx(1.0)
    assert float(parts["contrast"]) == pytest.approx(teacher_contrast_chance(8, 0.2), abs=1e-5)
    assert float(parts["embedding_std"]) == float(parts["teacher_std"]) == pytest.approx(0.0, abs=1e-6)
    assert method.chance_level() is None


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("variant", ["v2", "v1"])
def test_processes_have_the_loss_and_the_gradient_of_one(processes, variant, count):
    method = build(variant=variant).double()
    outputs = outputs_of(method, corrupted(method, dtype=torch.float64))
    outputs["error"] = outputs["error"] * torch.linspace(0.1, 3.0, 8)[:, None]  # unlike means: a mean of means fails
    fixed = {"hidden", "target"}

    def leaves():
        return {name: value.detach().clone().requires_grad_(name not in fixed) for name, value in outputs.items()}

    whole, parts = leaves(), leaves()
    alone = method.loss(whole, ALONE, PROGRESS).total
    alone.backward()
    mean = sum(loss.total for loss in processes(method, parts, count, PROGRESS)) / count
    mean.backward()
    assert mean.item() == pytest.approx(alone.item(), abs=1e-12)
    for name in whole.keys() - fixed:
        torch.testing.assert_close(parts[name].grad, whole[name].grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("variant", ["v2", "v1"])
def test_outputs_of_micro_batches_are_those_of_the_batch(variant):
    """So the loss of the joined outputs is that of the batch, though the masks differ in size."""
    method = build(variant=variant).double().eval()  # batch norm alone looks at the micro-batch
    views = corrupted(method, 8, dtype=torch.float64)
    parts = [
        Views(
            tuple(image[rows] for image in views.images),
            views.index[rows],
            tuple({name: value[rows] for name, value in extra.items()} for extra in views.extras),
        )
        for rows in (slice(0, 4), slice(4, 8))
    ]
    whole, cut = outputs_of(method, views), [outputs_of(method, part) for part in parts]
    for name, value in whole.items():
        torch.testing.assert_close(torch.cat([outputs[name] for outputs in cut]), value, rtol=0, atol=1e-12)


def test_the_head_has_the_published_structure():
    head = contrast_head(6, 24, 5)
    kinds = [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear, nn.BatchNorm1d, nn.GELU, nn.Linear, nn.BatchNorm1d]
    assert [type(m) for m in head] == kinds
    linear = [m for m in head if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features, m.bias is not None) for m in linear] == [
        (6, 24, True),
        (24, 24, True),
        (24, 5, True),
    ]
    assert [m.affine for m in head if isinstance(m, nn.BatchNorm1d)] == [True, True, False]


def test_widths_are_the_options():
    method = build(hidden=20, output=7, decoder_width=9)
    assert (method.head[0].out_features, method.head[6].out_features) == (20, 7)
    assert (method.decoder.pixels.in_channels, len(method.decoder.laterals)) == (9, 2)
    assert build(variant="v1").head.out_features == 512
    assert build().head[6].out_features == 256


@pytest.mark.parametrize("variant", ["v2", "v1"])
def test_the_gradient_reaches_every_trained_parameter_and_no_teacher(variant):
    method = build(variant=variant).double()
    views = corrupted(method, dtype=torch.float64)
    outputs = outputs_of(method, views)
    method.loss(outputs, ALONE, PROGRESS).total.backward()
    trained = {name: p for name, p in method.named_parameters() if p.requires_grad}
    assert [name for name, p in trained.items() if p.grad is None or not p.grad.any()] == []
    frozen = {name for name, p in method.named_parameters() if not p.requires_grad}
    assert all(name.startswith(("teacher.", "teacher_head.")) for name in frozen)
    assert len(frozen) == (18 if variant == "v2" else 0)
    assert all(method.get_parameter(name).grad is None for name in frozen)
    grouped = [name for group in method.parameter_groups(SiT.recipe) for name in group.parameters]
    assert sorted(grouped) == sorted(trained)


def test_the_teacher_sees_clean_views_without_stochastic_depth_and_the_student_corrupted_ones():
    method = build(drop_path=0.3, drop_type="noise")
    assert (method.backbone.rate, method.teacher.rate) == (0.3, 0.0)
    assert build().backbone.rate is None
    views = corrupted(method)
    clean = Views(tuple(extra["clean"] for extra in views.extras), views.index, views.extras)
    target = method.targets(views, PROGRESS)["target"]
    torch.testing.assert_close(target, method.targets(clean, PROGRESS)["target"])
    student = build()
    assert not torch.allclose(student(views, PROGRESS)["z"], student(clean, PROGRESS)["z"])
    both = method.teacher_head(method.teacher(torch.cat(clean.images)).pooled)  # as one batch
    torch.testing.assert_close(target[:, 1], F.normalize(both, dim=-1)[8:])


def test_the_teacher_follows_with_the_published_momentum():
    method = build(momentum=0.996)
    published = [0.996, 0.996098, 0.996382, 0.996824, 0.997382, 0.998, 0.998618, 0.999176, 0.999618, 0.999902]
    steps = [Progress(step=step, steps=10, steps_per_epoch=5) for step in range(10)]
    assert [method.momentum(step) for step in steps] == pytest.approx(published, abs=1e-6)
    before = {name: p.clone() for name, p in method.named_parameters()}
    with torch.no_grad():
        for p in (*method.backbone.parameters(), *method.head.parameters()):
            p.add_(1.0)
        method.after_step(steps[3])
    for name, p in method.named_parameters():
        if name.startswith("teacher"):
            torch.testing.assert_close(p - before[name], torch.full_like(p, 1 - published[3]), rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("variant", ["v2", "v1"])
def test_outputs_are_of_each_image_and_in_full_precision(variant):
    method = build(variant=variant)
    views = corrupted(method)
    outputs = outputs_of(method, views)
    assert all(value.shape[:2] == (8, 2) for value in outputs.values())
    torch.testing.assert_close(outputs["z"].norm(dim=-1), torch.ones(8, 2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert {value.dtype for value in method(views, PROGRESS).values()} == {torch.float32}


def test_the_original_is_three_tasks_weighed():
    method = build(variant="v1").double()
    views = corrupted(method, dtype=torch.float64)
    outputs = method(views, PROGRESS)
    features = method.backbone(torch.cat(views.images))
    labels = torch.cat([extra["rotation"] for extra in views.extras])
    clean = torch.cat([extra["clean"] for extra in views.extras])
    rotation = F.cross_entropy(method.rotation(features.pooled), labels)
    contrast = NTXentLoss(temperature=0.5)(*F.normalize(method.head(features.pooled), dim=-1).chunk(2))
    reconstruction = F.l1_loss(method.decoder(features, (8, 8)), clean)
    expected = sum(
        math.exp(-factor) * task.item() + 0.5
        for factor, task in ((1.0, rotation), (1.0, contrast), (0.5, reconstruction))
    )
    loss = method.loss(outputs, ALONE, PROGRESS)
    assert loss.total.item() == pytest.approx(expected, abs=1e-9)
    assert float(loss.parts["rotation"]) == pytest.approx(rotation.item())
    assert float(loss.parts["reconstruction_weight"]) == pytest.approx(math.exp(-0.5))
    assert float(loss.parts["contrast_weight"]) == pytest.approx(math.exp(-1.0))


def test_the_form_is_what_the_options_name_and_copies_keep_it():
    assert type(build()) is CurrentSiT
    assert type(build(variant="v1")) is OriginalSiT
    for variant in ("v2", "v1"):
        method = build(variant=variant)
        other = copy.deepcopy(method)
        assert type(other) is type(method)
        assert all(torch.equal(a, b) for a, b in zip(method.parameters(), other.parameters(), strict=True))
        assert method.encoder() is method.backbone


@pytest.mark.parametrize("variant", ["v2", "v1"])
def test_the_state_is_all_there_is(variant):
    """Steps, then a new method given the state: the next step is the same to the bit."""

    def step(method, optimiser, number):
        progress = Progress(step=number, steps=10, steps_per_epoch=5)
        outputs = outputs_of(method, corrupted(method, seed=number))
        loss = method.loss(outputs, ALONE, progress).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            method.after_step(progress)
        return loss.item()

    first = build(variant=variant, momentum=0.5) if variant == "v2" else build(variant=variant)
    optimiser = torch.optim.SGD(first.parameters(), lr=0.1)
    losses = [step(first, optimiser, number) for number in range(4)]
    assert len(set(losses)) == 4
    second = build(variant=variant, momentum=0.5) if variant == "v2" else build(variant=variant)
    second.load_state_dict(first.state_dict())
    assert step(second, torch.optim.SGD(second.parameters(), lr=0.1), 4) == step(first, optimiser, 4)
    assert all(torch.equal(a, second.state_dict()[name]) for name, a in first.state_dict().items())


@pytest.mark.parametrize("variant", ["v2", "v1"])
def test_a_few_steps_learn(variant):
    method = build(variant=variant)
    views = corrupted(method, 16)
    optimiser = torch.optim.AdamW(method.parameters(), lr=1e-2)
    losses = []
    for number in range(25):
        progress = Progress(step=number, steps=25, steps_per_epoch=25)
        loss = method.loss(outputs_of(method, views), ALONE, progress)
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
        with torch.no_grad():
            method.after_step(progress)
        losses.append(loss)
    assert losses[-1].total < 0.8 * losses[0].total
    assert losses[-1].parts["reconstruction"] < 0.9 * losses[0].parts["reconstruction"]
    assert losses[-1].parts["contrast"] < 0.7 * losses[0].parts["contrast"]


def test_views_and_recipes_are_the_published_ones():
    one, two = build().view_plan().views
    assert (one.size, one.scale, len(one.ops), one.ops) == (None, (1.0, 1.0), 1, two.ops)
    assert (one.paper.scale, one.paper.jitter, one.paper.grey_p) == ((0.2, 1.0), (0.4, 0.4, 0.2, 0.1), 0.2)
    assert [(v.paper.blur_p, v.paper.solarise_p) for v in (one, two)] == [(1.0, 0.0), (0.1, 0.2)]
    assert (one.ops[0].drop_perc, one.ops[0].drop_replace, one.ops[0].drop_type) == (0.5, 0.3, "zeros")
    _, distortion = build(variant="v1").view_plan().views[0].ops
    assert (distortion.drop_perc, distortion.drop_replace, distortion.drop_type) == (0.3, 0.3, "noise")
    recipe = SiT.recipe
    assert (recipe.learning_rate, recipe.weight_decay, recipe.final_weight_decay) == (5e-4, 0.04, 0.1)
    assert (recipe.clip, recipe.clip_each, recipe.warmup_epochs, recipe.final_learning_rate) == (3.0, True, 10.0, 1e-6)
    original = build(variant="v1").recipe
    assert (original.reference_batch, original.weight_decay, original.clip) == (512, 0.05, None)


def facts(shape=(1, 64, 64), grid=(2, 2), micro=8):
    backbone = BackboneFacts(width=384, min_size=8, grid=grid, batch_norm=True)
    return RunFacts(
        shape=ImageShape(*shape), images=60, batch_size=8, micro_batch=micro, epochs=1, steps=7, backbone=backbone
    )


@pytest.mark.parametrize(
    ("options", "run_facts", "word"),
    [
        ({}, facts(), None),
        ({"variant": "v1"}, facts(), None),
        ({}, facts((3, 64, 96)), None),
        ({}, facts(micro=1), "train.micro_batch"),
        ({}, facts(grid=(1, 1)), "last grid is 1x1: too coarse to reconstruct"),
        ({"drop_align": 16}, facts((1, 32, 32)), "leave no room"),
        ({"drop_align": 15}, facts((1, 45, 45)), "leave no room"),
        ({"drop_align": 16}, facts(), None),
        ({"drop_perc": 0.0, "drop_replace": 0.0}, facts(), "nothing is hidden"),
        ({"drop_perc": 0.0, "replace_p": 0.0}, facts(), "nothing is hidden"),
        ({"variant": "v1"}, facts((3, 64, 96)), "must be square"),
        ({"variant": "v1", "momentum": 0.9}, facts(), "momentum has no meaning"),
        ({"variant": "v1", "drop_perc": 0.0}, facts(), None),
    ],
)
def test_runs_that_cannot_work_are_refused(options, run_facts, word):
    messages = list(SiTOptions(**options).check(run_facts))
    assert [word in m for m in messages] == ([True] if word else [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"drop_perc": 0.95},
        {"drop_replace": -0.1},
        {"replace_p": 1.1},
        {"drop_align": 0},
        {"block": 0.0},
        {"temperature": 0.0},
        {"reconstruction_weight": -1.0},
        {"momentum": 1.5},
        {"drop_path": 1.0},
        {"output": 1},
        {"decoder_width": 0},
    ],
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SiTOptions(**wrong)


def test_what_is_given_stands_before_what_is_published():
    assert SiTOptions().form.temperature == 0.2
    assert SiTOptions(variant="v1").form.temperature == 0.5
    assert SiTOptions(variant="v1", temperature=0.3, drop_perc=0.0).form.temperature == 0.3
    assert SiTOptions(drop_perc=0.0).form.drop_perc == 0.0


def test_it_is_found_and_its_options_need_no_torch():
    (row,) = catalogue([one for one in scan() if (one.kind, one.name) == ("method", "sit")])
    assert (row.state, row.found.distribution) == ("ok", "deeplense-sit")
    code = "import sys, deeplense_sit, deeplense_sit.options; assert 'torch' not in sys.modules"
    run([sys.executable, "-c", code], check=True)
