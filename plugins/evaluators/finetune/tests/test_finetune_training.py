"""Layers, objectives and the training loop by themselves."""

from collections import Counter

import numpy as np
import pytest
import torch
from attrs import evolve
from deeplense_finetune.layers import LAYERS, encoder_groups, layers_of
from deeplense_finetune.objective import Bins, Gaussian, LeastSquares, objective_for
from deeplense_finetune.options import FinetuneOptions
from deeplense_finetune.training import Network, batches_of, outputs_of, train
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from deeplense_registry import Backbone, Features, ImageShape, UserError

CPU = torch.device("cpu")


class Deep(Backbone):
    """Linear layers with norms, one after another."""

    width = 4

    def __init__(self, depth):
        super().__init__(None, ImageShape(4, 1, 1))
        self.token = nn.Parameter(torch.zeros(4))
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)) for _ in range(depth))

    def forward(self, images, *, pose=None):
        rows = images[:, :, 0, 0]
        for block in self.blocks:
            rows = block(rows)
        return Features(pooled=rows, grid=rows[:, :, None, None])

    def no_weight_decay(self):
        return frozenset({"blocks.0.0.weight"})


def options(**changes):
    return FinetuneOptions(**{"targets": ("class",), **changes})


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60))
def test_layers_follow_the_definition_and_are_twelve_at_most(depth):
    layers = layers_of(Deep(depth))
    assert list(layers.values()) == sorted(layers.values())
    assert layers["token"] == 0
    for number in range(depth):  # a norm belongs with the weight before it
        own = {layer for name, layer in layers.items() if name.startswith(f"blocks.{number}.")}
        assert own == {number * LAYERS // depth}
    sizes = Counter(layers[f"blocks.{number}.0.weight"] for number in range(depth))
    assert len(sizes) == min(depth, LAYERS)
    assert max(sizes.values()) - min(sizes.values()) <= 1


def test_an_encoder_without_weights_is_one_layer():
    assert set(layers_of(Deep(0)).values()) == {0}


def test_rates_fall_towards_the_image_by_the_same_ratio_at_any_depth():
    for depth in (12, 30):
        encoder = Deep(depth)
        groups = encoder_groups(encoder, 0.5)
        scale = {name: group.scale for group in groups for name in group.parameters}
        assert set(scale) == {name for name, _ in encoder.named_parameters()}
        assert scale["blocks.0.0.weight"] == 0.5**12
        assert scale[f"blocks.{depth - 1}.0.weight"] == 0.5
        decayed = {name for group in groups if group.decay for name in group.parameters}
        assert decayed == {f"blocks.{number}.0.weight" for number in range(1, depth)}


def test_a_step_moves_late_layers_more():
    encoder = Deep(12)
    network = Network(encoder, 2)
    nn.init.constant_(network.head.weight, 0.1)
    with torch.no_grad():
        network.head.weight[0].neg_()
    before = [block[0].weight.clone() for block in encoder.blocks]
    generator = torch.Generator().manual_seed(0)
    batches = [(torch.randn(8, 4, 1, 1, generator=generator), torch.arange(8) % 2) for _ in range(4)]
    objective = objective_for(options(), np.array([0, 1]), 2, CPU)
    settings = {"steps": 4, "learning_rate": 0.01, "layer_decay": 0.5, "patience": None, "validate": None}
    train(network, objective, batches, options(weight_decay=0.0, clip=None), **settings)
    moved = [(block[0].weight - old).abs().mean() for block, old in zip(encoder.blocks, before, strict=True)]
    assert moved[-1] > 100 * moved[0] > 0  # 0.5 ** 11 = 1 / 2048, but for Adam's epsilon


def run(losses, *, patience, steps=10, checks=5):
    """A training whose validation losses are given; the head's bias at each check, and at the end."""
    network, seen, left = Network(Deep(1), 2), [], iter(losses)

    def validate():
        seen.append(network.head.bias.detach().clone())
        return next(left)

    batches = [(torch.ones(2, 4, 1, 1), torch.zeros(2, dtype=torch.int64)) for _ in range(steps)]
    objective = objective_for(options(), np.array([0, 1]), 2, CPU)
    settings = {"steps": steps, "learning_rate": 0.1, "layer_decay": 1.0, "patience": patience, "validate": validate}
    train(network, objective, batches, options(checks=checks), **settings)
    return seen, network.head.bias.detach()


def test_the_best_state_stays():
    seen, final = run([3.0, 1.0, 2.0, 2.0, 2.0], patience=None)
    assert len(seen) == 5
    assert torch.equal(final, seen[1])
    assert not torch.equal(final, seen[4])


def test_patience_ends_it():
    seen, final = run([3.0, 1.0, 2.0, 1.0, 0.0], patience=2)
    assert len(seen) == 4
    assert torch.equal(final, seen[1])


def test_more_checks_than_steps_are_one_a_step():
    assert len(run([1.0] * 10, patience=None, steps=3, checks=9)[0]) <= 4


def test_a_validation_loss_that_is_not_finite_is_told():
    with pytest.raises(UserError, match="the loss on the validation split is not finite"):
        run([1.0, float("nan")], patience=None)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 50), st.integers(2, 40), st.integers(1, 30), st.booleans(), st.integers(0, 99))
def test_batches_are_full_and_pass_over_everything(count, size, steps, balanced, seed):
    truth = np.arange(count) % 3
    given = options(batch_size=size, sampling="balanced" if balanced else "as-drawn")
    rows = batches_of(truth, given, steps, np.random.default_rng(seed))
    width = min(count, size)
    assert rows.shape == (steps, width)
    assert rows.min() >= 0 <= rows.max() < count
    if not balanced:
        each = count // width
        for start in range(0, steps, each):
            epoch = rows[start : start + each]
            assert len(np.unique(epoch)) == epoch.size


def test_epochs_say_how_many_steps():
    rows = batches_of(np.arange(10) % 2, options(epochs=3, batch_size=4), 300, np.random.default_rng(0))
    assert rows.shape == (6, 4)


def test_balanced_sampling_shows_classes_alike():
    truth = np.array([0] * 90 + [1] * 9 + [2])
    rows = batches_of(truth, options(sampling="balanced", batch_size=50), 400, np.random.default_rng(0))
    shares = np.bincount(truth[rows.ravel()]) / rows.size
    np.testing.assert_allclose(shares, 1 / 3, atol=0.02)


def test_weighted_cross_entropy_counts_classes_alike():
    truth = np.array([0] * 6 + [1] * 3 + [3])
    objective = objective_for(options(weighting="balanced"), truth, 4, CPU)
    torch.testing.assert_close(objective.weights, torch.tensor([10 / 18, 10 / 9, 0.0, 10 / 3]))
    logits = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    entropy = -logits.log_softmax(1)[torch.arange(10), torch.tensor(truth)].numpy()
    expected = np.mean([entropy[truth == label].mean() for label in (0, 1, 3)])
    assert objective.loss(logits, torch.tensor(truth)).item() == pytest.approx(expected, rel=1e-5)
    plain = objective_for(options(), truth, 4, CPU)
    assert plain.loss(logits, torch.tensor(truth)).item() == pytest.approx(entropy.mean(), rel=1e-5)
    torch.testing.assert_close(plain.predict(logits).sum(1), torch.ones(10))


def test_squares_are_in_units_of_the_draw():
    truth = np.array([1.0, 3.0])
    objective = objective_for(options(), truth, 0, CPU)
    assert objective == LeastSquares(2.0, 1.0)
    exact = torch.tensor([[-1.0], [1.0]])
    assert objective.loss(exact, torch.tensor(truth, dtype=torch.float32)) == 0
    assert objective.predict(exact).tolist() == [1.0, 3.0]


def test_the_gaussian_is_torchs():
    objective = objective_for(options(regression="nll"), np.array([1.0, 3.0, 8.0]), 0, CPU)
    assert isinstance(objective, Gaussian)
    assert objective.outputs == 2
    outputs, truth = torch.tensor([[0.3, -1.0], [0.1, 0.5]]), torch.tensor([2.0, 6.0])
    scaled = (truth - objective.mean) / objective.deviation
    normal = torch.distributions.Normal(outputs[:, 0], (outputs[:, 1] / 2).exp())
    expected = -normal.log_prob(scaled).mean() - 0.5 * np.log(2 * np.pi)
    torch.testing.assert_close(objective.loss(outputs, truth), expected)
    assert objective.predict(outputs)[0].item() == pytest.approx(objective.mean + 0.3 * objective.deviation)


def test_bins_expect_the_value():
    objective = objective_for(options(regression="bins", bins=4, range=(0.0, 8.0)), np.array([1.0, 3.0]), 0, CPU)
    assert objective == Bins(0.0, 8.0, 4)
    sure = 50 * torch.eye(4)
    assert objective.predict(sure).tolist() == pytest.approx([1.0, 3.0, 5.0, 7.0])
    assert objective.predict(torch.zeros(1, 4)).item() == pytest.approx(4.0)
    assert objective.loss(sure, torch.tensor([-3.0, 2.0, 5.9, 8.0])).item() == pytest.approx(0.0, abs=1e-6)
    own = objective_for(options(regression="bins"), np.array([1.0, 3.0]), 0, CPU)
    assert own == Bins(1.0, 3.0, 180)


def test_outputs_are_those_of_evaluation_mode():
    network = Network(Deep(1), 3)
    assert outputs_of(network, [torch.ones(2, 4, 1, 1), torch.ones(1, 4, 1, 1)]).shape == (3, 3)
    assert network.training


def test_the_encoder_computes_in_the_precision_of_the_run_and_the_head_in_full():
    seen = []

    class Probe(Deep):
        def forward(self, images, *, pose=None):
            seen.append(torch.is_autocast_enabled("cpu"))
            features = super().forward(images, pose=pose)
            return evolve(features, pooled=features.pooled.bfloat16())

    network = Network(Probe(1), 2, lambda: torch.autocast("cpu", dtype=torch.bfloat16))
    assert network(torch.ones(2, 4, 1, 1)).dtype == torch.float32
    assert seen == [True]
