import copy
import io
import math
import sys
from concurrent.futures import ThreadPoolExecutor
from subprocess import run
from threading import Barrier

import pytest
import torch
from deeplense_dino.method import DINO
from deeplense_dino.options import DINOOptions
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

SHAPE = ImageShape(1, 16, 16)
SMALL = {"out_dim": 12, "hidden_dim": 10, "bottleneck_dim": 6}


class Alone(World):
    rank, size = 0, 1

    def join(self, rows):
        return rows

    def sum(self, value):
        return value


class OneOfTwo(World):
    """Two threads that meet as two processes would."""

    size = 2

    def __init__(self, rank, barrier, table):
        self.rank, self.barrier, self.table = rank, barrier, table

    def join(self, rows):
        raise AssertionError("DINO joins no rows")

    def sum(self, value):
        self.table[self.rank] = value
        self.barrier.wait(timeout=30)
        total = self.table[0] + self.table[1]
        self.barrier.wait(timeout=30)
        return total


class Small(Backbone):
    width = 8

    def __init__(self, drop_path=None):
        super().__init__(None, SHAPE)
        self.drop_path = drop_path
        self.convolution = nn.Conv2d(1, 8, 3, bias=False)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, images, *, pose=None):
        grid = self.norm(self.convolution(images)).relu()
        return Features(pooled=grid.mean((2, 3)), grid=grid)


def facts(epochs=5, micro_batch=6, min_size=4):
    return RunFacts(
        shape=SHAPE,
        images=12,
        batch_size=6,
        micro_batch=micro_batch,
        epochs=epochs,
        steps=2 * epochs,
        backbone=BackboneFacts(width=8, min_size=min_size, grid=(14, 14), batch_norm=True),
    )


def at(step, epochs=5):
    return Progress(step=step, steps=2 * epochs, steps_per_epoch=2)


def build(seed=0, **options):
    torch.manual_seed(seed)
    return DINO(DINOOptions(**{**SMALL, **options}), Small, facts())


def views(count=6, seed=0, local=4):
    generator = torch.Generator().manual_seed(seed)
    sides = [16, 16, *[8] * local]
    images = tuple(torch.randn(count, 1, side, side, generator=generator) for side in sides)
    return Views(images=images, index=torch.arange(count), extras=({},) * len(sides))


def outputs_of(method, batch, progress):
    with torch.no_grad():
        targets = method.targets(batch, progress)
    return {**method(batch, progress), **targets}


def steps(method, optimiser, first, last):
    """Training steps in the order of the interface."""
    losses = []
    for step in range(first, last):
        progress = at(step)
        outputs = outputs_of(method, views(seed=step), progress)
        loss = method.loss(outputs, Alone(), progress)
        optimiser.zero_grad()
        loss.total.backward()
        with torch.no_grad():
            method.remember({name: value.detach() for name, value in outputs.items()}, Alone(), progress)
        method.after_backward(progress)
        optimiser.step()
        with torch.no_grad():
            method.after_step(progress)
        losses.append(float(loss.total.detach()))
    return losses


def adam(method):
    return torch.optim.AdamW([p for p in method.parameters() if p.requires_grad], lr=1e-2)


def test_forward_gives_bottlenecks_of_all_views_and_the_teacher_sees_the_global_ones():
    method, batch = build(), views()
    outputs = outputs_of(method, batch, at(0))
    assert outputs["student"].shape == (6, 6, 6)
    assert outputs["teacher"].shape == (6, 2, 6)
    for value in outputs.values():
        torch.testing.assert_close(value.norm(dim=-1), torch.ones(value.shape[:2]))
    torch.testing.assert_close(outputs["student"][:, :2], outputs["teacher"])  # they start equal
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert method(batch, at(0))["student"].dtype == torch.float32


def test_the_gradient_reaches_the_student_and_not_the_teacher():
    method = build(norm_last_layer=False)
    method.loss(outputs_of(method, views(), at(0)), Alone(), at(0)).total.backward()
    missed = {name for name, p in method.named_parameters() if p.grad is None or not p.grad.any()}
    assert missed == {name for name, _ in method.named_parameters() if name.startswith("teacher.")}
    assert not any(p.requires_grad for p in method.teacher.parameters())


@pytest.mark.parametrize("norm_last_layer", [True, False])
def test_the_gain_learns_unless_it_is_kept_at_1(norm_last_layer):
    gain = build(norm_last_layer=norm_last_layer).student.last_layer.gain
    assert gain.requires_grad == (not norm_last_layer)
    assert (gain == 1).all()


def test_the_centre_starts_at_0_and_follows_the_teachers_raw_logits():
    method = build(center_momentum=0.75)
    assert not method.centre.any()
    expected = torch.zeros(12)
    for step in range(3):
        outputs = outputs_of(method, views(seed=step), at(step))
        with torch.no_grad():
            expected = 0.75 * expected + 0.25 * method.teacher.last_layer(outputs["teacher"]).mean((0, 1))
            method.remember(outputs, Alone(), at(step))
    torch.testing.assert_close(method.centre, expected)


def test_the_loss_changes_nothing():
    method = build()
    before = copy.deepcopy(method.state_dict())
    outputs = outputs_of(method.eval(), views(), at(0))
    method.loss(outputs, Alone(), at(0))
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())


def accumulate(method, batch, world):
    """Three losses, their gradients left in the parameters, and the centre moved after each."""
    totals = []
    for _ in range(3):
        outputs = outputs_of(method, batch, at(3))
        total = method.loss(outputs, world, at(3)).total
        total.backward()
        with torch.no_grad():
            method.remember(outputs, world, at(3))
        totals.append(float(total.detach()))
    return totals


def test_two_processes_have_the_loss_the_gradient_and_the_centre_of_one():
    whole, *halves = [build().double().eval() for _ in range(3)]
    batch = views(8)
    images = tuple(image.double() for image in batch.images)
    barrier, table = Barrier(2), {}

    def process(rank):
        rows = slice(4 * rank, 4 * rank + 4)
        part = Views(tuple(image[rows] for image in images), batch.index[rows], batch.extras)
        return accumulate(halves[rank], part, OneOfTwo(rank, barrier, table))

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(process, (0, 1))
    alone = accumulate(whole, Views(images, batch.index, batch.extras), Alone())
    assert [(a + b) / 2 for a, b in zip(first, second, strict=True)] == pytest.approx(alone, abs=1e-12)
    assert first != pytest.approx(second)
    for name, parameter in whole.student.named_parameters():
        if parameter.requires_grad:
            gradient = sum(half.student.get_parameter(name).grad for half in halves) / 2
            torch.testing.assert_close(gradient, parameter.grad, rtol=1e-10, atol=1e-10)
    assert torch.equal(halves[0].centre, halves[1].centre)
    torch.testing.assert_close(halves[0].centre, whole.centre, rtol=0, atol=1e-12)


def test_the_momentum_is_the_published_vector():
    method = build(momentum_teacher=0.996)
    vector = [0.996, 0.996098, 0.996382, 0.996824, 0.997382, 0.998, 0.998618, 0.999176, 0.999618, 0.999902]
    assert [method.momentum(at(step)) for step in range(10)] == pytest.approx(vector, abs=5e-7)


def test_the_teacher_follows_the_students_parameters_and_keeps_its_own_statistics():
    method = build()
    nn.init.normal_(method.student.backbone.convolution.weight)
    method.student.backbone.norm.running_mean += 1
    before = copy.deepcopy(method.teacher.state_dict())
    with torch.no_grad():
        method.after_step(at(4))
    momentum = method.momentum(at(4))
    for name, value in method.teacher.named_parameters():
        expected = momentum * before[name] + (1 - momentum) * method.student.get_parameter(name).detach()
        torch.testing.assert_close(value, expected)
    assert not method.teacher.backbone.norm.running_mean.any()


def test_the_temperature_warms_up_by_epochs():
    method = build(warmup_teacher_temp=0.04, teacher_temp=0.07, warmup_teacher_temp_epochs=4)
    got = [method.teacher_temperature(at(step)) for step in range(10)]
    assert got == pytest.approx([0.04, 0.04, 0.05, 0.05, 0.06, 0.06, 0.07, 0.07, 0.07, 0.07])


def test_the_last_layer_stays_for_its_epochs_and_learns_afterwards():
    method = build(freeze_last_layer=2)
    optimiser, start = adam(method), method.student.last_layer.direction.detach().clone()
    steps(method, optimiser, 0, 4)
    assert torch.equal(method.student.last_layer.direction, start)
    steps(method, optimiser, 4, 5)
    assert not torch.equal(method.student.last_layer.direction, start)


def test_half_a_run_continued_is_a_whole_one():
    options = {"freeze_last_layer": 2, "teacher_temp": 0.07, "warmup_teacher_temp_epochs": 4}
    whole, half, rest = build(**options), build(**options), build(seed=1, **options)
    optimisers = [adam(method) for method in (whole, half, rest)]
    losses = steps(whole, optimisers[0], 0, 10)
    steps(half, optimisers[1], 0, 3)
    file = io.BytesIO()
    torch.save({"method": half.state_dict(), "optimiser": optimisers[1].state_dict()}, file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    rest.load_state_dict(state["method"])
    optimisers[2].load_state_dict(state["optimiser"])
    assert steps(rest, optimisers[2], 3, 10) == losses[3:]
    for name, value in whole.state_dict().items():
        assert torch.equal(rest.state_dict()[name], value), name
    assert {"centre", "teacher.last_layer.direction"} <= state["method"].keys()


def test_a_copy_is_a_method_of_its_own():
    method = build()
    again = copy.deepcopy(method)
    assert torch.equal(again.student.last_layer.direction, method.student.last_layer.direction)
    assert again.student.last_layer.direction is not method.student.last_layer.direction


def test_chance_is_the_loss_of_outputs_that_are_all_alike():
    method = build()
    nn.init.ones_(method.student.last_layer.direction)
    nn.init.ones_(method.teacher.last_layer.direction)
    loss = method.loss(outputs_of(method, views(), at(0)), Alone(), at(0))
    assert float(loss.total.detach()) == pytest.approx(method.chance_level()) == pytest.approx(math.log(12))
    assert float(loss.parts["teacher_entropy"]) == pytest.approx(math.log(12))


def test_the_parts_tell_both_ways_to_collapse():
    method = build(norm_last_layer=False)
    alike = {"student": torch.ones(6, 6, 6), "teacher": torch.ones(6, 2, 6)}
    method.teacher.last_layer.gain[0] = 100.0
    method.teacher.last_layer.direction[0] = 1.0
    method.centre += 2
    parts = method.loss(alike, Alone(), at(9)).parts
    assert float(parts["teacher_mean_entropy"]) == pytest.approx(0, abs=1e-6)  # one output wins everywhere
    assert float(parts["embedding_std"]) == pytest.approx(0, abs=1e-6)
    assert float(parts["centre_norm"]) == pytest.approx(2 * math.sqrt(12))
    assert (parts["teacher_temperature"], parts["momentum"]) == (0.04, method.momentum(at(9)))


def test_the_student_may_drop_paths_and_the_teacher_never_does():
    method = build(drop_path_rate=0.1)
    assert (method.student.backbone.drop_path, method.teacher.backbone.drop_path) == (0.1, 0.0)
    assert build().student.backbone.drop_path is None
    assert method.encoder() is method.teacher.backbone


def test_a_teacher_that_is_the_student_is_caught():
    one = Small()
    with pytest.raises(ValueError, match="shares"):
        DINO(DINOOptions(**SMALL), lambda drop_path=None: one, facts())


def test_the_views_are_two_global_and_four_local_ones():
    first, second, *local = build().view_plan().views
    assert (first.size, first.scale, second.size, second.scale) == (None, (1.0, 1.0), None, (1.0, 1.0))
    assert [(view.size, view.scale) for view in local] == [(8, (0.5, 1.0))] * 4
    assert [v.paper.blur_p for v in (first, second, local[0])] == [1.0, 0.1, 0.5]
    assert [v.paper.solarise_p for v in (first, second, local[0])] == [0.0, 0.2, 0.0]
    assert [v.paper.scale for v in (first, second, local[0])] == [(0.4, 1.0), (0.4, 1.0), (0.05, 0.4)]
    assert {v.paper.jitter for v in (first, second, local[0])} == {(0.4, 0.4, 0.2, 0.1)}
    assert all((v.paper.jitter_p, v.paper.grey_p, v.paper.flip) == (0.8, 0.2, 0.5) for v in (first, second, local[0]))
    chosen = build(
        local_crops_number=8, local_crops_size=6, local_crops_scale=(0.1, 0.3), global_crops_scale=(0.5, 1.0)
    )
    views = chosen.view_plan().views
    assert [(v.size, v.scale) for v in views] == [(None, (0.5, 1.0))] * 2 + [(6, (0.1, 0.3))] * 8
    assert len(build(local_crops_number=0).view_plan().views) == 2


def test_the_recipes():
    for recipe in (DINO.recipe, DINO.lens_recipe):
        assert (recipe.optimiser, recipe.clip, recipe.clip_each) == ("adamw", 3.0, True)
        assert (recipe.weight_decay, recipe.final_weight_decay) == (0.04, 0.4)
    assert (DINO.recipe.learning_rate, DINO.recipe.warmup_epochs, DINO.recipe.reference_batch) == (5e-4, 10.0, 256)
    method = build()
    names = [name for group in method.parameter_groups(DINO.recipe) for name in group.parameters]
    assert sorted(names) == sorted(n for n, p in method.named_parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("options", "about", "word"),
    [
        ({}, {}, None),
        ({"warmup_teacher_temp_epochs": 5, "freeze_last_layer": 5}, {}, None),
        ({"warmup_teacher_temp_epochs": 6}, {}, "warmup_teacher_temp_epochs = 6 is longer than the run"),
        ({"freeze_last_layer": 6}, {}, "freeze_last_layer = 6 is longer than the run"),
        ({}, {"min_size": 9}, "set local_crops_size to 9"),
        ({"local_crops_number": 0}, {"min_size": 9}, None),
        ({"local_crops_size": 9}, {"min_size": 9}, None),
        ({"use_bn_in_head": True}, {"micro_batch": 1}, "micro_batch"),
        ({}, {"micro_batch": 1}, None),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(options, about, word):
    messages = list(DINOOptions(**options).check(facts(**about)))
    assert [word in message for message in messages] == ([True] if word else [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"out_dim": 1},
        {"momentum_teacher": 1.0},
        {"center_momentum": -0.1},
        {"teacher_temp": 0.0},
        {"drop_path_rate": 1.0},
        {"local_crops_scale": (0.5, 0.2)},
        {"global_crops_scale": (0.5, 1.2)},
        {"local_crops_size": 0},
    ],
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DINOOptions(**wrong)


def test_it_is_found_and_its_options_need_no_torch():
    (row,) = catalogue([one for one in scan() if (one.kind, one.name) == ("method", "dino")])
    assert (row.state, row.found.distribution) == ("ok", "deeplense-dino")
    code = "import sys, deeplense_dino, deeplense_dino.options; assert 'torch' not in sys.modules"
    run([sys.executable, "-c", code], check=True)
