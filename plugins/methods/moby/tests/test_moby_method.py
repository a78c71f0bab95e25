import math
import sys
from copy import deepcopy
from functools import partial
from subprocess import run

import pytest
import torch
from attrs import evolve
from deeplense_moby.method import MoBY
from deeplense_moby.objective import momentum_at
from deeplense_moby.options import MoBYOptions
from lightly.loss import NTXentLoss
from torch import nn
from torch.nn import functional as F
from toys import SHAPE, ToyBackbone, toy_facts, toy_views
from worlds import alone, together

from deeplense_registry import Progress, catalogue, scan

SMALL = {"queue": 24, "hidden": 10, "output": 12}
STEPS, B = 10, 8
FACTS = toy_facts(batch_size=B, micro_batch=B)


def build(**options):
    torch.manual_seed(0)
    return MoBY(MoBYOptions(**{**SMALL, **options}), partial(ToyBackbone, None, SHAPE), FACTS)


def at(step):
    return Progress(step=step, steps=STEPS, steps_per_epoch=5)


def embeddings(seed=0, count=B):
    generator = torch.Generator().manual_seed(seed)
    p, k = (F.normalize(torch.randn(count, 2, 12, generator=generator, dtype=torch.float64), dim=-1) for _ in range(2))
    return {"prediction": p, "key": k}


def alike_views(seed):
    """Two views of each image that differ by a little noise."""
    views = toy_views(B, seed)
    return evolve(views, images=(views.images[0], views.images[0] + 0.1 * views.images[1]))


def step(method, number, optimiser, world, outputs=None):
    """One step as the engine takes it, of images, or of outputs given in their place."""
    progress, batch = at(number), alike_views(number)
    method.zero_grad()
    if outputs is None:
        torch.manual_seed(number)
        with torch.no_grad():
            outputs = method.targets(batch, progress)
        outputs = {**outputs, **method(batch, progress)}
    loss = method.loss(outputs, world, progress)
    loss.total.backward()
    with torch.no_grad():
        method.remember({name: value.detach() for name, value in outputs.items()}, world, progress)
    if optimiser:
        optimiser.step()
        with torch.no_grad():
            method.after_step(progress)
    return loss


def optimiser_of(method):
    return torch.optim.AdamW([p for p in method.parameters() if p.requires_grad], lr=1e-2)


def test_the_loss_is_the_sum_of_both_directions_by_lightly():
    method = build().double()
    start = method.queue.rows.clone()
    torch.testing.assert_close(start.norm(dim=-1), torch.ones(2, 24, dtype=torch.float64))  # negatives from the start
    for number in range(5):
        outputs = embeddings(number)
        expected = 0.0
        for predicted, other in ((0, 1), (1, 0)):
            oracle = NTXentLoss(temperature=0.2, memory_bank_size=(24, 12))
            oracle.memory_bank.bank = method.queue.rows[other].clone()
            expected += float(oracle(outputs["prediction"][:, predicted], outputs["key"][:, other]))
        outputs["prediction"].requires_grad_()
        loss = step(method, number, None, alone(), outputs)
        assert float(loss.total.detach()) == pytest.approx(expected, abs=1e-12)
        fresh = min(3, number + 1)
        assert float(method.queue.fill()) == pytest.approx(fresh / 3)
    assert int(method.queue.pointer) == 5 * B % 24
    newest = torch.cat([embeddings(n)["key"] for n in (2, 3, 4)]).transpose(0, 1)
    assert torch.equal(method.queue.rows.roll(-int(method.queue.pointer), dims=1), newest)


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_have_the_loss_the_gradient_and_the_queues_of_one(processes):
    single = build().double()
    methods = [deepcopy(single) for _ in range(processes)]
    for number in range(4):
        whole = embeddings(number)
        whole["prediction"].requires_grad_()
        share = B // processes
        parts = [
            {n: v.detach()[r * share : (r + 1) * share].clone() for n, v in whole.items()} for r in range(processes)
        ]
        for part in parts:
            part["prediction"].requires_grad_()
        expected = step(single, number, None, alone(), whole)

        def work(world, number=number, parts=parts):
            return step(methods[world.rank], number, None, world, parts[world.rank])

        losses = [float(loss.total.detach()) for loss in together(processes, work)]
        assert sum(losses) / processes == pytest.approx(float(expected.total.detach()), abs=1e-12)
        gradients = torch.cat([part["prediction"].grad for part in parts]) / processes
        torch.testing.assert_close(gradients, whole["prediction"].grad, rtol=0, atol=1e-12)
        for method in methods:
            assert all(torch.equal(a, b) for a, b in zip(method.buffers(), single.buffers(), strict=True))


def test_the_teacher_moves_as_in_the_official_code_before_the_keys_of_each_step():
    method = build()
    optimiser = optimiser_of(method)
    expected = [p.detach().clone() for p in method.student.parameters()]
    for k in range(STEPS):
        m = momentum_at(0.99, k, STEPS)
        student = [p.detach() for p in method.student.parameters()]
        expected = [m * t + (1 - m) * s for t, s in zip(expected, student, strict=True)]
        for ours, theirs in zip(method.teacher.parameters(), expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
        parts = step(method, k, optimiser, alone()).parts
        assert parts["momentum"] == pytest.approx(m)
    assert not torch.equal(method.teacher.projector[0].weight, method.student.projector[0].weight)


def test_only_the_student_drops_paths_and_only_parameters_are_averaged():
    method = build(drop_path=0.3)
    assert (method.student.backbone.dropout.p, method.teacher.backbone.dropout.p) == (0.3, 0.0)
    assert build().student.backbone.dropout.p == pytest.approx(0.1)
    before = method.teacher.projector[1].running_mean.clone()
    method.student(torch.randn(9, 1, 8, 8))
    method.after_step(at(0))
    assert torch.equal(method.teacher.projector[1].running_mean, before)
    method.train()
    assert method.teacher.training


def test_the_gradient_reaches_every_parameter_but_the_teachers():
    method = build()
    step(method, 0, None, alone())
    trained = {name for name, p in method.named_parameters() if p.grad is not None and p.grad.any()}
    assert trained == {name for name, _ in method.named_parameters() if not name.startswith("teacher.")}
    assert not any(p.requires_grad for p in method.teacher.parameters())
    assert not any(key.requires_grad for key in method.targets(toy_views(B), at(0)).values())
    groups = list(method.parameter_groups(MoBY.recipe))
    assert {name for group in groups for name in group.parameters} == trained
    assert all(p.ndim > 1 for p in groups[0].parameters.values())


def test_the_heads_have_the_published_structure():
    torch.manual_seed(0)
    method = MoBY(MoBYOptions(hidden=4096), partial(ToyBackbone, None, SHAPE), FACTS)
    for head, inputs in ((method.student.projector, 6), (method.teacher.projector, 6), (method.predictor, 256)):
        assert [type(m) for m in head] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
        assert [(head[i].in_features, head[i].out_features) for i in (0, 3)] == [(inputs, 4096), (4096, 256)]
        assert all(head[i].bias is not None for i in (0, 1, 3))
    assert method.queue.rows.shape == (2, 1024, 256)


def test_each_view_is_a_batch_of_its_own():
    method, batch = build(drop_path=0.0), toy_views(B)
    prediction, key = method(batch, at(0))["prediction"], method.targets(batch, at(0))["key"]
    assert prediction.shape == key.shape == (B, 2, 12)
    for view, images in enumerate(batch.images):
        torch.testing.assert_close(prediction[:, view], F.normalize(method.predictor(method.student(images)), dim=-1))
        torch.testing.assert_close(key[:, view], F.normalize(method.student(images), dim=-1))  # the teacher starts so
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert method(batch, at(0))["prediction"].dtype == torch.float32


def test_a_run_that_is_resumed_is_the_same_run():
    def train(method, optimiser, steps):
        for number in steps:
            step(method, number, optimiser, alone())

    straight = build()
    train(straight, optimiser_of(straight), range(8))
    first = build()
    optimiser = optimiser_of(first)
    train(first, optimiser, range(4))
    resumed = build()
    resumed.load_state_dict(first.state_dict())
    other = optimiser_of(resumed)
    other.load_state_dict(optimiser.state_dict())
    train(resumed, other, range(4, 8))
    state = resumed.state_dict()
    assert {"queue.rows", "queue.pointer", "queue.filled", "teacher.projector.0.weight"} <= state.keys()
    assert all(torch.equal(value, state[name]) for name, value in straight.state_dict().items())


def test_a_few_steps_find_the_keys():
    method = build(drop_path=0.0, momentum=0.9)
    optimiser = optimiser_of(method)
    losses = [float(step(method, n % STEPS, optimiser, alone()).total.detach()) for n in range(40)]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_chance_is_the_loss_of_embeddings_that_say_nothing():
    method = build()
    alike = F.normalize(torch.ones(B, 2, 12), dim=-1)
    method.queue.rows.fill_(12**-0.5)
    loss = method.loss({"prediction": alike, "key": alike}, alone(), at(0))
    assert method.chance_level() == pytest.approx(2 * math.log(25))
    assert float(loss.total) == pytest.approx(method.chance_level(), abs=1e-5)
    assert float(loss.parts["embedding_std"]) == pytest.approx(0.0, abs=1e-6)
    assert float(loss.parts["key_std"]) == pytest.approx(0.0, abs=1e-6)


def test_the_parts_tell_success():
    method, outputs = build(), {name: value.float() for name, value in embeddings().items()}
    outputs["prediction"] = outputs["key"].flip(1)
    parts = method.loss(outputs, alone(), at(5)).parts
    assert float(parts["top1"]) == 1.0
    assert float(parts["positive_similarity"]) == pytest.approx(1.0)
    assert 0.7 < float(parts["key_std"]) < 1.1
    assert float(parts["queue_fill"]) == 0.0
    assert parts["momentum"] == pytest.approx(0.995)


def test_the_views_and_the_recipes_are_the_published_ones():
    first, second = build().view_plan().views
    assert (first.size, first.scale, first.ops) == (second.size, second.scale, second.ops) == (None, (1.0, 1.0), ())
    assert (first.paper.blur_p, first.paper.solarise_p) == (1.0, 0.0)
    assert (second.paper.blur_p, second.paper.solarise_p) == (0.1, 0.2)
    for paper in (first.paper, second.paper):
        assert (paper.scale, paper.jitter, paper.jitter_p) == ((0.08, 1.0), (0.4, 0.4, 0.2, 0.1), 0.8)
        assert (paper.grey_p, paper.flip) == (0.2, 0.5)
    recipe = MoBY.recipe
    assert (recipe.optimiser, recipe.learning_rate, recipe.reference_batch) == ("adamw", 1e-3, 512)
    assert (recipe.final_learning_rate, recipe.warmup_epochs, recipe.weight_decay) == (5e-6, 5.0, 0.05)
    assert [(r.clip, r.clip_each) for r in (recipe, MoBY.lens_recipe)] == [(5.0, False)] * 2


def test_the_encoder_is_the_students_backbone():
    method = build()
    assert method.encoder() is method.student.backbone


@pytest.mark.parametrize(
    ("options", "micro", "words"),
    [
        ({}, B, None),
        ({}, 1, "micro_batch to 2"),
        ({"queue": 20}, B, "queue = 20 is no multiple of train.batch_size 8; 16 is"),
        ({"queue": 3}, B, "8 is"),
    ],
)
def test_what_cannot_work_is_refused(options, micro, words):
    messages = list(MoBYOptions(**options).check(evolve(FACTS, micro_batch=micro)))
    assert [words in message for message in messages] == ([True] if words else [])


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0.0}, {"queue": 0}, {"momentum": 1.1}, {"drop_path": 1.0}, {"output": 1}]
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MoBYOptions(**wrong)


def test_it_is_found_and_its_options_need_no_torch():
    (row,) = catalogue([one for one in scan() if (one.kind, one.name) == ("method", "moby")])
    assert (row.state, row.found.distribution) == ("ok", "deeplense-moby")
    code = "import sys, deeplense_moby, deeplense_moby.options; assert 'torch' not in sys.modules"
    run([sys.executable, "-c", code], check=True)
