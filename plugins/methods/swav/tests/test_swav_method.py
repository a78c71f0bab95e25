import math
import sys
from copy import deepcopy
from functools import partial
from subprocess import run

import pytest
import torch
from attrs import evolve
from deeplense_swav.method import SwAV
from deeplense_swav.options import SwAVOptions
from lightly.loss import SwaVLoss
from torch import nn
from torch.nn import functional as F
from toys import ToyBackbone, toy_facts
from worlds import alone, together

from deeplense_registry import BackboneFacts, ImageShape, Progress, Views, catalogue, scan

SHAPE = ImageShape(1, 16, 16)
SMALL = {"prototypes": 7, "hidden": 10, "output": 12, "local_crops": 6, "freeze_epochs": 0.0}
B = 8


def facts(**changes):
    backbone = BackboneFacts(width=6, min_size=changes.pop("min_size", 4), grid=(16, 16), batch_norm=False)
    return evolve(toy_facts(batch_size=B, micro_batch=B), shape=SHAPE, backbone=backbone, **changes)


def build(**options):
    torch.manual_seed(0)
    return SwAV(SwAVOptions(**{**SMALL, **options}), partial(ToyBackbone, None, SHAPE), facts())


def at(step):
    return Progress(step=step, steps=16, steps_per_epoch=8)


def views(count=B, seed=0, local=6):
    generator = torch.Generator().manual_seed(seed)
    images = [torch.randn(count, 1, side, side, generator=generator) for side in [16] * 2 + [8] * local]
    return Views(tuple(images), torch.arange(count), ({},) * len(images))


def embeddings(count=B, seed=0):
    z = torch.randn(count, 8, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(z, dim=-1)


def step(method, number, optimiser, world, z=None):
    """One step as the engine takes it, of images, or of embeddings given in their place."""
    progress = at(number)
    with torch.no_grad():
        method.prepare(progress, None)
    method.zero_grad()
    outputs = method(views(seed=number), progress) if z is None else {"z": z}
    loss = method.loss(outputs, world, progress)
    loss.total.backward()
    with torch.no_grad():
        method.remember({"z": outputs["z"].detach()}, world, progress)
    method.after_backward(progress)
    if optimiser:
        optimiser.step()
    return loss


def lightlys(method, z, queue):
    scores = z @ method.prototypes.weight.T
    own = [rows @ method.prototypes.weight.T for rows in queue] if queue is not None else None
    loss = SwaVLoss(sinkhorn_epsilon=method.options.epsilon)
    return float(loss(list(scores[:, :2].unbind(1)), list(scores[:, 2:].unbind(1)), own).detach())


def test_the_queue_enters_once_full_and_fills_after_use():
    method = build(queue=2 * B, queue_start=0.25).double()  # epochs of 8 steps: rows from step 2 on
    before = []
    for number in range(7):
        z = embeddings(seed=number)
        queue = torch.cat(before[-2:][::-1], dim=1) if len(before) >= 2 else None
        loss = step(method, number, None, alone(), z)
        assert float(loss.total.detach()) == pytest.approx(lightlys(method, z, queue), abs=1e-12)
        if number >= 2:
            assert float(loss.parts["queue_fill"]) == pytest.approx(min(len(before), 2) / 2)
            before.append(z[:, :2].transpose(0, 1))
        assert float(method.queue.fill()) == pytest.approx(min(len(before), 2) / 2)
    assert lightlys(method, z, queue) != pytest.approx(lightlys(method, z, None), abs=1e-4)
    newest = torch.cat([before[-2], before[-1]], dim=1)  # oldest first
    assert torch.equal(method.queue.rows.roll(-int(method.queue.pointer), dims=1), newest)


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_have_the_loss_the_gradient_and_the_queue_of_one(processes):
    single = build(queue=2 * B, queue_start=0.0).double()
    methods = [deepcopy(single) for _ in range(processes)]
    for number in range(4):  # the queue is full from the third step on
        whole = embeddings(seed=number).requires_grad_()
        parts = [rows.detach().clone().requires_grad_() for rows in whole.split(B // processes)]
        expected = step(single, number, None, alone(), whole)

        def work(world, number=number, parts=parts):
            return step(methods[world.rank], number, None, world, parts[world.rank])

        losses = [float(loss.total.detach()) for loss in together(processes, work)]
        assert sum(losses) / processes == pytest.approx(float(expected.total.detach()), abs=1e-12)
        assert max(losses) - min(losses) > 1e-3
        gradients = torch.cat([rows.grad for rows in parts]) / processes
        torch.testing.assert_close(gradients, whole.grad, rtol=0, atol=1e-12)
        of_prototypes = torch.stack([m.prototypes.weight.grad for m in methods]).mean(0)
        torch.testing.assert_close(of_prototypes, single.prototypes.weight.grad, rtol=0, atol=1e-12)
        for method in methods:
            assert all(torch.equal(a, b) for a, b in zip(method.buffers(), single.buffers(), strict=True))
    assert single.queue.full()


def test_the_prototypes_have_no_bias_and_unit_length_and_learn_only_after_a_while():
    method = build(freeze_epochs=0.25)
    optimiser = torch.optim.SGD(method.parameters(), lr=0.1)
    assert method.prototypes.bias is None
    with torch.no_grad():
        method.prepare(at(0), None)
    torch.testing.assert_close(method.prototypes.weight.norm(dim=1), torch.ones(7))
    start, moved = method.prototypes.weight.detach().clone(), []
    for number in range(4):
        step(method, number, optimiser, alone())
        moved.append(not torch.allclose(method.prototypes.weight, start, atol=1e-6))
    assert moved == [False, False, True, True]


def test_the_projector_has_the_published_structure():
    torch.manual_seed(0)
    method = SwAV(SwAVOptions(prototypes=3000, hidden=2048), partial(ToyBackbone, None, SHAPE), facts())
    first, norm, relu, last = method.projector
    assert [(m.in_features, m.out_features, m.bias is not None) for m in (first, last, method.prototypes)] == [
        (6, 2048, True),
        (2048, 128, True),
        (128, 3000, False),
    ]
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.affine
    assert isinstance(relu, nn.ReLU)


def test_forward_encodes_each_resolution_once_and_projects_all_views_together():
    method, batch, sizes = build(), views(), []
    hook = method.backbone.register_forward_hook(lambda _, inputs, __: sizes.append(inputs[0].shape))
    z = method(batch, at(0))["z"]
    assert sizes == [(2 * B, 1, 16, 16), (6 * B, 1, 8, 8)]
    hook.remove()
    assert z.shape == (B, 8, 12)
    pooled = torch.stack([method.backbone(images).pooled for images in batch.images], dim=1)
    expected = F.normalize(build().projector(pooled.flatten(0, 1)), dim=-1).view(B, 8, 12)
    torch.testing.assert_close(z, expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert method(batch, at(0))["z"].dtype == torch.float32


def test_the_gradient_reaches_every_parameter():
    method = build(queue=B, queue_start=0.0)
    for number in range(2):
        step(method, number, None, alone())
    assert method.queue.full()
    assert [name for name, p in method.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_run_that_is_resumed_is_the_same_run():
    def train(method, optimiser, steps):
        for number in steps:
            step(method, number, optimiser, alone())

    def fresh():
        method = build(queue=2 * B, queue_start=0.0, freeze_epochs=0.5)
        return method, torch.optim.AdamW(method.parameters(), lr=1e-2)

    straight, optimiser = fresh()
    train(straight, optimiser, range(6))
    first, optimiser = fresh()
    train(first, optimiser, range(3))
    resumed, other = fresh()
    resumed.load_state_dict(first.state_dict())
    other.load_state_dict(optimiser.state_dict())
    train(resumed, other, range(3, 6))
    state = resumed.state_dict()
    assert {"queue.rows", "queue.pointer", "queue.filled", "prototypes.weight"} <= state.keys()
    assert all(torch.equal(value, state[name]) for name, value in straight.state_dict().items())


def test_a_few_steps_lower_the_loss():
    method = build()
    optimiser = torch.optim.AdamW(method.parameters(), lr=2e-2)
    one = views()
    same = Views(tuple(one.images[v % 2 if v < 2 else 2] for v in range(8)), one.index, one.extras)
    losses = []
    for _ in range(40):
        with torch.no_grad():
            method.prepare(at(8), None)
        loss = method.loss(method(same, at(8)), alone(), at(8))
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
        losses.append(float(loss.total.detach()))
    assert losses[-1] < 0.75 * losses[0]


def test_chance_is_the_loss_where_scores_say_nothing():
    method = build()
    assert method.chance_level() == pytest.approx(math.log(7))
    with torch.no_grad():
        method.prototypes.weight.copy_(method.prototypes.weight[:1].expand(7, -1))
    loss = method.loss({"z": embeddings().float()}, alone(), at(0))
    assert float(loss.total.detach()) == pytest.approx(math.log(7), abs=1e-5)
    assert float(loss.parts["assignment_entropy"]) == pytest.approx(1.0, abs=1e-5)
    assert float(loss.parts["prototype_usage"]) == pytest.approx(1.0, abs=1e-5)
    assert "queue_fill" not in loss.parts


def test_the_parts_tell_a_collapse():
    method = build()
    with torch.no_grad():
        method.prototypes.weight.copy_(F.normalize(torch.eye(7, 12), dim=-1))
    on_one = torch.zeros(B, 8, 12)
    on_one[..., 0] = 1.0
    parts = method.loss({"z": on_one}, alone(), at(0)).parts
    assert float(parts["embedding_std"]) == pytest.approx(0.0, abs=1e-6)
    assert float(parts["prototype_usage"]) < 0.01
    assert not any(torch.is_tensor(part) and part.requires_grad for part in parts.values())


def test_clusters_are_assigned_from_pooled_features():
    method = build().eval()
    features = method.backbone(views().images[0]).pooled
    p = method.assign(features)
    assert p.shape == (B, 7)
    torch.testing.assert_close(p.sum(1), torch.ones(B))
    with torch.no_grad():
        method.prepare(at(0), None)
    torch.testing.assert_close(method.assign(features), p)  # whether or not a step has brought them to unit length


def test_the_views_are_two_large_and_six_small():
    plan = build().view_plan().views
    assert [(v.size, v.scale, v.paper.scale) for v in plan] == [(None, (0.8, 1.0), (0.14, 1.0))] * 2 + [
        (8, (0.2, 0.5), (0.05, 0.14))
    ] * 6
    paper = {(v.paper.jitter, v.paper.jitter_p, v.paper.grey_p, v.paper.blur_p, v.paper.solarise_p) for v in plan}
    assert paper == {((0.8, 0.8, 0.8, 0.2), 0.8, 0.2, 0.5, 0.0)}
    assert len(build(local_crops=0).view_plan().views) == 2


@pytest.mark.parametrize(("side", "least", "expected"), [(224, 16, 96), (64, 8, 32), (150, 8, 72), (64, 40, 40)])
def test_a_small_view_is_as_large_as_published_and_the_backbone_needs(side, least, expected):
    wide = evolve(facts(min_size=least), shape=ImageShape(1, side, side + 10))
    assert SwAVOptions().local_side(wide) == expected


def test_the_recipes():
    recipe = SwAV.recipe
    assert (recipe.optimiser, recipe.learning_rate, recipe.final_learning_rate) == ("lars", 0.6, 6e-4)
    assert (recipe.weight_decay, recipe.momentum, recipe.warmup_epochs) == (1e-6, 0.9, 0.0)
    (group,) = build().parameter_groups(recipe)
    assert (group.decay, group.adapt, len(group.parameters)) == (True, True, len(list(build().parameters())))
    assert (SwAV.lens_recipe.optimiser, SwAV.lens_recipe.clip) == ("adamw", 3.0)


def test_the_encoder_is_the_backbone():
    method = build()
    assert method.encoder() is method.backbone


@pytest.mark.parametrize(
    ("options", "changes", "words"),
    [
        ({}, {}, None),
        ({"queue": 16, "queue_start": 0.5}, {}, None),
        ({}, {"micro_batch": 1}, "micro_batch to 2"),
        ({"freeze_epochs": 2.0}, {}, "lasts the whole run of 2 epochs"),
        ({"local_size": 9}, {"min_size": 10}, "below the 10 pixels"),
        ({"local_size": 9, "local_crops": 0}, {"min_size": 10}, None),
        ({"local_size": 17}, {}, "larger than the images of 1x16x16"),
        ({"queue": 20}, {}, "no multiple of train.batch_size 8; 16 is"),
        ({"queue": 64, "queue_start": 1.0}, {}, "full after step 16 of 16 and never used"),
    ],
)
def test_what_cannot_work_is_refused(options, changes, words):
    messages = list(SwAVOptions(**options).check(facts(**changes)))
    assert [words in message for message in messages] == ([True] if words else [])


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0.0}, {"epsilon": 0.0}, {"prototypes": 1}, {"iterations": 0}, {"local_scale": (0.5, 0.2)}]
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SwAVOptions(**wrong)


def test_it_is_found_and_its_options_need_no_torch():
    (row,) = catalogue([one for one in scan() if (one.kind, one.name) == ("method", "swav")])
    assert (row.state, row.found.distribution) == ("ok", "deeplense-swav")
    code = "import sys, deeplense_swav, deeplense_swav.options; assert 'torch' not in sys.modules"
    run([sys.executable, "-c", code], check=True)
