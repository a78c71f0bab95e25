"""Recipes become optimisers, schedules and clipping."""

from __future__ import annotations

import math
import sys

import pytest
import torch
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from toys import toy_facts, toy_method

from deeplense_registry import ParameterGroup, Recipe, UserError
from deeplense_registry.blocks.schedules import cosine, warmup_cosine
from deeplense_registry.engine.optimisation import Optimisation, build_optimiser, chosen_recipe
from deeplense_registry.interfaces import Progress
from deeplense_registry.spec.tables import TrainTable


def progress(step: int, steps: int = 8) -> Progress:
    return Progress(step=step, steps=steps, steps_per_epoch=4)


def test_cosine_follows_the_momentum_schedule_of_dino() -> None:
    """The test vector of the official implementation for 10 steps from 0.996 to 1."""
    expected = [0.996, 0.996098, 0.996382, 0.996824, 0.997382, 0.998, 0.998618, 0.999176, 0.999618, 0.999902]
    assert [round(cosine(0.996, 1.0, step / 10), 6) for step in range(10)] == expected


@given(st.floats(1e-6, 10), st.integers(2, 500), st.data())
def test_warmup_rises_to_the_peak_and_falls_to_the_end(peak: float, steps: int, data: st.DataObject) -> None:
    warmup = data.draw(st.integers(0, steps - 1))
    rates = [warmup_cosine(peak, 0.0, step, steps, warmup) for step in range(steps)]
    assert all(0.0 <= rate <= peak * (1 + 1e-12) for rate in rates)
    assert rates[:warmup] == sorted(rates[:warmup])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
    assert rates[warmup] == pytest.approx(peak)
    if warmup < steps - 1:
        assert rates[-1] == pytest.approx(0.0, abs=1e-12 * peak)


def test_the_rate_scales_with_the_batch_and_the_spec_overrides_it() -> None:
    method, facts = toy_method(), toy_facts(batch_size=16)
    scaled = Optimisation(method, Recipe(learning_rate=1.0, reference_batch=256), facts)
    assert scaled.peak == 16 / 256
    own = chosen_recipe(method, TrainTable(learning_rate=0.3, weight_decay=0.0, optimiser="sgd"))
    assert (own.learning_rate, own.reference_batch, own.weight_decay, own.optimiser) == (0.3, None, 0.0, "sgd")
    assert chosen_recipe(method, TrainTable(recipe="paper")) == method.recipe


def test_decay_spares_vectors_and_follows_its_schedule() -> None:
    recipe = Recipe(weight_decay=0.04, final_weight_decay=0.4)
    optimisation = Optimisation(toy_method(), recipe, toy_facts())
    named = [set(group.parameters) for group in optimisation.groups]
    assert named == [{"prototypes", "backbone.conv.weight"}, {"backbone.conv.bias"}]
    assert optimisation.weight_decay(progress(0)) == pytest.approx(0.04)
    assert optimisation.weight_decay(progress(4)) == pytest.approx(0.22)
    assert optimisation.weight_decay(progress(8)) == pytest.approx(0.4)
    optimisation.step(progress(4))
    assert [g["weight_decay"] for g in optimisation.optimiser.param_groups] == [pytest.approx(0.22), 0.0]


def test_an_unscheduled_group_keeps_its_rate() -> None:
    method = toy_method()
    groups = [
        ParameterGroup(parameters={"prototypes": method.prototypes}, scheduled=False, scale=2.0),
        ParameterGroup(parameters=dict(method.backbone.named_parameters())),
    ]
    method.parameter_groups = lambda recipe: groups
    optimisation = Optimisation(method, Recipe(learning_rate=0.1, reference_batch=None), toy_facts())
    optimisation.step(progress(7))
    constant, scheduled = (group["lr"] for group in optimisation.optimiser.param_groups)
    assert constant == pytest.approx(0.2)
    assert scheduled == pytest.approx(0.0)


@pytest.mark.parametrize("clip", [None, 0.5, 100.0])
def test_clipping_by_the_global_norm(clip: float | None) -> None:
    optimisation = gradients_of_three_and_four(Recipe(clip=clip))
    assert float(optimisation.clip()) == pytest.approx(5.0)
    expected = 5.0 if clip is None else min(clip, 5.0)
    assert total(optimisation) == pytest.approx(expected, rel=1e-5)


def test_clipping_each_tensor() -> None:
    optimisation = gradients_of_three_and_four(Recipe(clip=3.5, clip_each=True))
    assert float(optimisation.clip()) == pytest.approx(5.0)
    assert total(optimisation) == pytest.approx(math.hypot(3.0, 3.5), rel=1e-5)


def gradients_of_three_and_four(recipe: Recipe) -> Optimisation:
    method = toy_method()
    optimisation = Optimisation(method, recipe, toy_facts())
    for parameter, size in ((method.prototypes, 3.0), (method.backbone.conv.bias, 4.0)):
        parameter.grad = torch.full_like(parameter, size / math.sqrt(parameter.numel()))
    return optimisation


def total(optimisation: Optimisation) -> float:
    return math.sqrt(sum(float(p.grad.square().sum()) for p in optimisation.parameters if p.grad is not None))


def test_lars_is_the_naive_update_and_adapts_only_where_told() -> None:
    """You et al. 2017, arXiv:1708.03888: rate times trust |w| / (|g| + d |w|), in momentum SGD."""
    weight, bias = torch.nn.Parameter(torch.randn(3, 4)), torch.nn.Parameter(torch.randn(3))
    groups = (
        ParameterGroup(parameters={"w": weight}),
        ParameterGroup(parameters={"b": bias}, decay=False, adapt=False),
    )
    optimiser = build_optimiser(Recipe(optimiser="lars"), groups, 0.5)
    optimiser.param_groups[0]["weight_decay"] = 0.01
    before = weight.detach().clone(), bias.detach().clone()
    weight.grad, bias.grad = torch.randn(3, 4), torch.randn(3)
    optimiser.step()
    norm_w, norm_g = before[0].norm(), weight.grad.norm()
    trust = 0.001 * norm_w / (norm_g + 0.01 * norm_w)
    expected = before[0] - 0.5 * trust * (weight.grad + 0.01 * before[0])
    assert torch.allclose(weight, expected, atol=1e-6)
    assert torch.allclose(bias, before[1] - 0.5 * bias.grad, atol=1e-6)


def test_lars_without_timm_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm.optim.lars", None)
    with pytest.raises(UserError, match=r'optimiser "lars" comes from timm: pip install "deeplense-registry\[lars\]"'):
        build_optimiser(Recipe(optimiser="lars"), (), 0.1)


def test_a_warmup_longer_than_the_run_is_refused() -> None:
    with pytest.raises(UserError, match=r"the warm-up of 5 epochs is longer than the run \(2 epochs\)"):
        Optimisation(toy_method(), Recipe(warmup_epochs=5), toy_facts(epochs=2))


def test_decay_all_makes_one_group() -> None:
    (group,) = toy_method().parameter_groups(evolve(Recipe(), decay_all=True))
    assert len(group.parameters) == 3
