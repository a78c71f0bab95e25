"""The gradient of a whole batch, however it is cut."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import cut, toy_facts, toy_method, toy_views

from deeplense_registry.engine.gradient import Averaged, merged
from deeplense_registry.engine.precision import Precision
from deeplense_registry.engine.reproducible import tree_sum
from deeplense_registry.engine.world import SingleWorld
from deeplense_registry.interfaces import Method, Progress, Views

PROGRESS = Progress(step=3, steps=10, steps_per_epoch=5)


def gradients(method: Method, parts: list[Views]) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of one backward pass."""
    method.train()
    loss, _ = Averaged(method, SingleWorld(), Precision("cpu", "fp32"), seed=1).backward(parts, PROGRESS)
    found = {name: p.grad.clone() for name, p in method.named_parameters() if p.grad is not None}
    method.zero_grad()
    return float(loss.total.detach()), found


@pytest.mark.parametrize("size", [32, 64, 256])
def test_micro_batches_have_the_gradient_of_the_batch_of_512(size: int) -> None:
    method = toy_method(toy_facts(images=512)).double()
    views = toy_views(512, dtype=torch.float64)
    whole_loss, whole = gradients(method, [views])
    cut_loss, parts = gradients(method, cut(views, size))
    assert cut_loss == pytest.approx(whole_loss, rel=1e-12)
    assert parts.keys() == whole.keys()
    assert len(parts) == 3  # convolution's weight and bias, prototypes
    for name, gradient in whole.items():
        assert gradient.abs().max() > 1e-4
        assert (parts[name] - gradient).abs().max() < 1e-6 * gradient.abs().max()


def test_the_mean_of_small_losses_is_another_gradient() -> None:
    """What gradient accumulation would give: the reason for two stages, and a proof that the test above can fail."""
    method = toy_method(toy_facts(images=64)).double()
    views = toy_views(64, dtype=torch.float64)
    _, whole = gradients(method, [views])
    _, small = gradients(method, [cut(views, 8)[0]])
    assert (small["backbone.conv.weight"] - whole["backbone.conv.weight"]).abs().max() > 1e-3


def test_dropout_is_the_same_in_both_runs_of_a_micro_batch() -> None:
    method = toy_method(toy_facts(), drop_path=0.5).double()
    views = toy_views(16, dtype=torch.float64)
    assert gradients(method, cut(views, 4))[1].keys() == gradients(method, cut(views, 4))[1].keys()
    first, second = gradients(method, cut(views, 4)), gradients(method, cut(views, 4))
    assert first[0] == second[0]
    assert all(torch.equal(first[1][name], second[1][name]) for name in first[1])


def test_dropout_draws_anew_each_step() -> None:
    method = toy_method(drop_path=0.5).train()
    batch = Averaged(method, SingleWorld(), Precision("cpu", "fp32"), seed=1)
    losses = [
        float(batch.backward([toy_views(16)], Progress(step=step, steps=9, steps_per_epoch=9))[0].total.detach())
        for step in (0, 1)
    ]
    assert losses[0] != losses[1]


def test_running_statistics_count_each_micro_batch_once() -> None:
    views = toy_views(16)
    once, cached = toy_method(norm=True).train(), toy_method(norm=True).train()
    with torch.no_grad():
        for part in cut(views, 4):
            once(part, PROGRESS)
    gradients(cached, cut(views, 4))
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(cached.backbone.norm, name), getattr(once.backbone.norm, name))
    assert once.backbone.norm.num_batches_tracked == cached.backbone.norm.num_batches_tracked == 8


def test_cumulative_statistics_are_the_mean_over_passes() -> None:
    method = toy_method(norm=True).train()
    method.backbone.norm.momentum = None
    views = toy_views(16)
    gradients(method, cut(views, 8))
    with torch.no_grad():
        seen = [
            method.backbone.conv(view[part]).mean((0, 2, 3))
            for part in (slice(8), slice(8, 16))
            for view in views.images
        ]
    torch.testing.assert_close(method.backbone.norm.running_mean, torch.stack(seen).mean(0))


def test_bf16_outputs_reach_the_loss_in_full_precision() -> None:
    method = toy_method().train()
    loss, outputs = Averaged(method, SingleWorld(), Precision("cpu", "bf16"), seed=1).backward(
        cut(toy_views(16), 8), PROGRESS
    )
    assert loss.total.dtype == outputs["z"].dtype == torch.float32
    assert outputs["index"].dtype == torch.int64


def test_one_name_for_two_outputs_is_refused() -> None:
    with pytest.raises(ValueError, match=r"forward and targets both return \['z'\]; give them different names"):
        merged({"z": torch.zeros(1)}, {"z": torch.zeros(1)})


@given(st.integers(1, 40))
def test_the_tree_sums_what_a_loop_sums(count: int) -> None:
    vectors = [torch.full((3,), float(number)) for number in range(count)]
    assert torch.equal(tree_sum(vectors), torch.full((3,), count * (count - 1) / 2))


def test_the_tree_of_a_half_is_a_subtree() -> None:
    """Why bits do not depend on how micro-batches are shared out: float32 sums of 8 vectors, split in 1, 2 and 4."""
    generator = torch.Generator().manual_seed(0)
    vectors = [torch.randn(1000, generator=generator) * 10.0**k for k in (3, -4, 0, 2, -1, 4, -3, 1)]
    whole = tree_sum(vectors)
    assert torch.equal(whole, tree_sum([tree_sum(vectors[:4]), tree_sum(vectors[4:])]))
    assert torch.equal(whole, tree_sum([tree_sum(vectors[k : k + 2]) for k in (0, 2, 4, 6)]))
    assert not torch.equal(whole, sum(vectors[1:], vectors[0]))
