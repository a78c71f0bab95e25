"""What the interface asks of a method, asked of every installed one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from attrs import evolve
from torch import Tensor

from deeplense_registry import Backbone, Method, Outputs, Progress, Recipe, Views, build
from deeplense_registry.engine.optimisation import build_optimiser
from deeplense_registry.engine.world import SingleWorld
from tests.methods.rehearsal import BATCH, CASES, Case, MemoryFeed, facts_of, make

WORLD = SingleWorld()
FACTS = evolve(facts_of(steps_per_epoch=4, epochs=4), micro_batch=BATCH)
START = Progress(step=0, steps=FACTS.steps, steps_per_epoch=FACTS.steps_per_epoch)
EVERY = pytest.mark.parametrize("case", CASES)


def ready(case: str) -> tuple[Method, Views]:
    """A method at the start of a run, and the views of its first batch."""
    method = make(CASES[case], FACTS).train()
    feed = MemoryFeed(method, FACTS, WORLD, torch.float32)
    with torch.no_grad():
        method.prepare(START, lambda function: function(feed.images))
    return method, feed.views(0, 0)


def outputs_of(method: Method, views: Views) -> tuple[Outputs, Outputs]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        with torch.no_grad():
            targets = method.targets(views, START)
        return method(views, START), targets


def state_of(method: Method) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in method.state_dict().items()}


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> list[str]:
    return [name for name, value in before.items() if not torch.equal(value, after[name])]


def picked(views: Views, rows: Tensor) -> Views:
    """The same views of other images, or in another order."""
    extras = tuple({name: value[rows] for name, value in extra.items()} for extra in views.extras)
    return Views(tuple(images[rows] for images in views.images), views.index[rows], extras)


@EVERY
def test_the_plan_makes_views_of_the_sizes_it_names(case: str) -> None:
    method, views = ready(case)
    assert method.view_plan() == method.view_plan()
    for spec, images in zip(method.view_plan().views, views.images, strict=True):
        assert images.shape == (BATCH, 1, spec.size or 32, spec.size or 32)
        assert images.isfinite().all()


@EVERY
def test_outputs_are_rows_of_images_under_names_of_their_own(case: str) -> None:
    method, views = ready(case)
    outputs, targets = outputs_of(method, views)
    assert outputs.keys().isdisjoint(targets)
    assert {len(value) for value in (outputs | targets).values()} == {BATCH}
    assert any(value.requires_grad for value in outputs.values())
    assert not any(value.requires_grad for value in targets.values())


@EVERY
def test_an_image_is_looked_at_alone(case: str) -> None:
    """In evaluation mode, where batch norm does not see the batch, rows follow their images."""
    method, views = ready(case)
    method.eval()
    rows = torch.randperm(BATCH, generator=torch.Generator().manual_seed(0))[: BATCH // 2]
    for all_rows, some in zip(outputs_of(method, views), outputs_of(method, picked(views, rows)), strict=True):
        for name, value in some.items():
            torch.testing.assert_close(value, all_rows[name][rows], rtol=1e-4, atol=1e-5, msg=name)


@EVERY
def test_the_loss_is_pure(case: str) -> None:
    method, views = ready(case)
    outputs, targets = outputs_of(method, views)
    given = {name: value.detach().clone() for name, value in (outputs | targets).items()}
    before, generator = state_of(method), torch.get_rng_state()
    first, second = (method.loss({**outputs, **targets}, WORLD, START) for _ in range(2))
    assert torch.equal(first.total, second.total)
    assert torch.equal(torch.get_rng_state(), generator)
    assert changed(before, state_of(method)) == []
    assert changed(given, {name: value.detach() for name, value in (outputs | targets).items()}) == []
    assert first.total.ndim == 0
    assert all(math.isfinite(float(part)) for part in first.parts.values())


@EVERY
def test_hooks_draw_no_random_numbers(case: str) -> None:
    method, views = ready(case)
    outputs, targets = outputs_of(method, views)
    whole = {name: value.detach() for name, value in (outputs | targets).items()}
    generator = torch.get_rng_state()
    with torch.no_grad():
        method.remember(whole, WORLD, START)
        method.after_backward(START)
        method.after_step(START)
    assert torch.equal(torch.get_rng_state(), generator)


@EVERY
def test_the_gradient_reaches_what_is_trained_and_nothing_else(case: str) -> None:
    method, views = ready(case)
    outputs, targets = outputs_of(method, views)
    torch.autograd.backward(method.loss({**outputs, **targets}, WORLD, START).total)
    reached = {name for name, parameter in method.named_parameters() if parameter.grad is not None}
    assert reached == {name for name, parameter in method.named_parameters() if parameter.requires_grad}


def noise_like(rows: Tensor, generator: torch.Generator) -> Tensor:
    """Random embeddings in place of embeddings, and almost even probabilities in place of probabilities."""
    if not rows.is_floating_point():
        return rows
    noise = torch.randn(rows.shape, generator=generator)
    if torch.allclose(rows.norm(dim=-1), torch.ones(()), atol=1e-4):
        return torch.nn.functional.normalize(noise, dim=-1)
    if torch.allclose(rows.sum(-1), torch.ones(()), atol=1e-4):
        return (0.1 * noise).softmax(-1)
    return rows


@EVERY
def test_chance_is_the_loss_of_random_embeddings(case: str) -> None:
    """Within 15 %: random directions are not quite at right angles. At the default widths, where they nearly are."""
    options = {name: value for name, value in CASES[case].options.items() if name in ("variant", "queue")}
    method = make(Case(CASES[case].method, options), FACTS)
    chance = method.chance_level()
    if chance is None:
        pytest.skip("it claims none")
    assert chance > 0
    feed = MemoryFeed(method, FACTS, WORLD, torch.float32)
    with torch.no_grad():
        method.prepare(START, lambda function: function(feed.images))
        outputs, targets = outputs_of(method, feed.views(0, 0))
        generator = torch.Generator().manual_seed(0)
        noise = {name: noise_like(value, generator) for name, value in (outputs | targets).items()}
        loss = method.loss(noise, WORLD, START)
    assert float(loss.total) == pytest.approx(chance, rel=0.15)


@EVERY
def test_recipes_can_be_built_on_groups_that_hold_each_parameter_once(case: str) -> None:
    method, _ = ready(case)
    trained = {name for name, parameter in method.named_parameters() if parameter.requires_grad}
    for recipe in (method.recipe, method.lens_recipe):
        assert isinstance(recipe, Recipe)
        groups = tuple(method.parameter_groups(recipe))
        listed = [name for group in groups for name in group.parameters]
        assert sorted(listed) == sorted(trained)
        named = dict(method.named_parameters())
        assert all(named[name] is p for group in groups for name, p in group.parameters.items())
        assert len(build_optimiser(recipe, groups, recipe.learning_rate).param_groups) == len(groups)


@EVERY
def test_the_encoder_is_a_backbone_within(case: str) -> None:
    method, _ = ready(case)
    assert isinstance(method.encoder(), Backbone)
    assert method.encoder() is method.encoder()
    assert any(part is method.encoder() for part in method.modules())


def pointers(parameters: Iterable[Tensor]) -> list[int]:
    return [parameter.data_ptr() for parameter in parameters]


@EVERY
def test_no_two_networks_share_their_weights(case: str) -> None:
    """A teacher that is the student would learn what it teaches."""
    method, _ = ready(case)
    places = pointers(p for _, p in method.named_parameters(remove_duplicate=False))
    assert len(set(places)) == len(places)
    backbones = [part for part in method.modules() if isinstance(part, Backbone)]
    frozen = [one for one in backbones if not any(p.requires_grad for p in one.parameters())]
    assert len(backbones) - len(frozen) == 1  # a student, and perhaps a teacher
    assert len(frozen) <= 1


@EVERY
def test_assignments_are_probabilities(case: str) -> None:
    method, _ = ready(case)
    method.eval()
    with torch.no_grad():
        clusters = method.assign(torch.randn(5, 8, generator=torch.Generator().manual_seed(0)))
    if clusters is not None:
        assert clusters.shape[0] == 5
        torch.testing.assert_close(clusters.sum(1), torch.ones(5))


@EVERY
def test_a_teacher_that_is_the_student_stops_the_start(case: str) -> None:
    """``make_backbone`` that hands out the same network twice."""
    method, _ = ready(case)
    if sum(isinstance(part, Backbone) for part in method.modules()) < 2:
        pytest.skip("it has no teacher")
    one: Any = method.encoder().requires_grad_(requires_grad=True)
    with pytest.raises(ValueError, match=r"the teacher shares \d+ parameters with the student; build it anew"):
        build("method", CASES[case].method, CASES[case].options, make_backbone=lambda drop_path=None: one, facts=FACTS)
