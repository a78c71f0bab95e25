import math
import sys
from subprocess import run

import pytest
import torch
from deeplense_vtcc.method import VTCC, projector, softmax
from deeplense_vtcc.objective import cluster_contrast, cluster_entropy, unevenness
from deeplense_vtcc.options import VTCCOptions
from hypothesis import given, settings
from hypothesis import strategies as st
from lightly.loss import NTXentLoss
from torch import nn
from torch.nn import functional as F
from toys import SHAPE, ToyBackbone, toy_facts, toy_views

from deeplense_registry import Progress, World, catalogue, scan
from deeplense_registry.blocks.nt_xent import nt_xent

PROGRESS = Progress(step=0, steps=10, steps_per_epoch=5)


class Alone(World):
    rank, size = 0, 1

    def join(self, rows):
        return rows

    def sum(self, value):
        return value


ALONE = Alone()


def build(facts=None, **options):
    torch.manual_seed(0)
    return VTCC(VTCCOptions(**options), lambda **_: ToyBackbone(None, SHAPE), facts or toy_facts(batch_size=8))


def random_outputs(count=8, width=16, clusters=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(count, 2, width, generator=generator, dtype=torch.float64)
    c = 3 * torch.randn(count, 2, clusters, generator=generator, dtype=torch.float64)
    return {"z": F.normalize(z, dim=-1), "c": c.softmax(-1)}


def naive(outputs, temperature, cluster_temperature, weight):
    """The paper's equations, term by term, in plain Python."""

    def contrast(first, second, tau):
        rows, total = [*first, *second], 0.0
        norms = [math.sqrt(sum(x * x for x in row)) for row in rows]
        n = len(first)
        for i, row in enumerate(rows):
            scores = [
                math.exp(sum(a * b for a, b in zip(row, other, strict=True)) / norms[i] / norms[j] / tau)
                for j, other in enumerate(rows)
            ]
            total -= math.log(scores[(i + n) % (2 * n)] / (sum(scores) - scores[i]))
        return total / (2 * n)

    z, c = outputs["z"], outputs["c"]
    columns = [c[:, v].T.tolist() for v in (0, 1)]
    entropy = 0.0
    for view in columns:
        mass = sum(map(sum, view))
        for column in view:
            share = sum(column) / mass
            entropy += share * math.log(share)
        entropy += math.log(len(view))
    instance = contrast(z[:, 0].tolist(), z[:, 1].tolist(), temperature)
    return instance + contrast(*columns, cluster_temperature) + weight * entropy


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("count", "width", "clusters"), [(4, 8, 2), (9, 16, 3), (32, 128, 10)])
def test_the_loss_is_that_of_the_oracle_and_of_the_paper(seed, count, width, clusters):
    outputs = random_outputs(count, width, clusters, seed)
    z, c = outputs["z"], outputs["c"]
    loss = build(clusters=clusters).loss(outputs, ALONE, PROGRESS)
    shares = c.mean(0)
    instance = NTXentLoss(temperature=0.5)(z[:, 0], z[:, 1])
    cluster = NTXentLoss(temperature=1.0)(c[:, 0].T.contiguous(), c[:, 1].T.contiguous())
    entropy = (math.log(clusters) + (shares * shares.log()).sum(-1)).sum()
    assert float(loss.parts["instance"]) == pytest.approx(float(instance), abs=1e-9)
    assert float(loss.parts["cluster"]) == pytest.approx(float(cluster), abs=1e-9)
    assert float(loss.total) == pytest.approx(float(instance + cluster + entropy), abs=1e-9)
    assert float(loss.total) == pytest.approx(naive(outputs, 0.5, 1.0, 1.0), abs=1e-9)


def test_temperatures_and_weight_are_the_options():
    outputs = random_outputs()
    loss = build(temperature=0.2, cluster_temperature=0.7, entropy_weight=0.3).loss(outputs, ALONE, PROGRESS)
    assert float(loss.total) == pytest.approx(naive(outputs, 0.2, 0.7, 0.3), abs=1e-9)


@pytest.mark.parametrize("count", [2, 4])
def test_processes_have_the_loss_and_the_gradient_of_one(processes, count):
    method, outputs = build(), random_outputs()
    whole = {name: value.clone().requires_grad_() for name, value in outputs.items()}
    alone = method.loss(whole, ALONE, PROGRESS).total
    alone.backward()
    parts = {name: value.clone().requires_grad_() for name, value in outputs.items()}
    losses = [loss.total for loss in processes(method, parts, count, PROGRESS)]
    mean = sum(losses) / count
    mean.backward()
    assert mean.item() == pytest.approx(alone.item(), abs=1e-12)
    for name, value in whole.items():
        torch.testing.assert_close(parts[name].grad, value.grad, rtol=0, atol=1e-12)


def test_an_empty_cluster_is_no_error():
    c = torch.zeros(6, 2, 3, requires_grad=True)
    probabilities = (c + torch.tensor([300.0, 300.0, -300.0])).softmax(-1)
    assert probabilities[..., 2].eq(0).all()
    loss = cluster_contrast(probabilities, 1.0) + unevenness(probabilities)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(c.grad).all()
    torch.testing.assert_close(cluster_entropy(probabilities), torch.full((2,), math.log(2)))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.integers(2, 6), st.integers(0, 2**31))
def test_the_entropy_lies_between_none_and_all(count, clusters, seed):
    c = random_outputs(count, 4, clusters, seed)["c"]
    assert ((cluster_entropy(c) >= 0) & (cluster_entropy(c) <= math.log(clusters) + 1e-9)).all()
    one = F.one_hot(torch.zeros(count, 2, dtype=torch.int64), clusters).double()
    assert float(unevenness(one)) == pytest.approx(2 * math.log(clusters))
    assert float(unevenness(torch.full_like(c, 1 / clusters))) == pytest.approx(0.0, abs=1e-12)


def test_chance_is_the_loss_of_a_model_that_says_nothing():
    method = build()
    alike = {"z": torch.ones(8, 2, 4) / 2, "c": torch.full((8, 2, 3), 1 / 3)}
    loss = method.loss(alike, ALONE, PROGRESS)
    assert float(loss.total) == pytest.approx(method.chance_level(), abs=1e-5)
    assert method.chance_level() == pytest.approx(math.log(15) + math.log(5))
    assert float(loss.parts["embedding_std"]) == pytest.approx(0.0, abs=1e-6)


def test_the_parts_tell_success():
    z = random_outputs(9, 64)["z"][:, :1].expand(-1, 2, -1)
    c = F.one_hot(torch.arange(9) % 3, 3).double()[:, None].expand(-1, 2, -1)
    parts = build().loss({"z": z, "c": c}, ALONE, PROGRESS).parts
    assert float(parts["top1"]) == 1.0
    assert float(parts["assignment_entropy"]) == pytest.approx(1.0)
    assert float(parts["assignment_confidence"]) == 1.0
    assert 0.7 < float(parts["embedding_std"]) < 1.1


@pytest.mark.parametrize(("output", "end"), [(128, None), (3, softmax)])
def test_the_projectors_have_the_published_structure(output, end):
    head = projector(6, 24, output, end)
    linear = [m for m in head if isinstance(m, nn.Linear)]
    norms = [m for m in head if isinstance(m, nn.BatchNorm1d)]
    kinds = [nn.Linear, nn.BatchNorm1d, nn.ReLU] * 2 + [nn.Linear] + ([nn.Softmax] if end else [])
    assert [type(m) for m in head] == kinds
    assert [(m.in_features, m.out_features) for m in linear] == [(6, 24), (24, 24), (24, output)]
    assert all(m.bias is not None for m in linear)
    assert [m.affine for m in norms] == [True, True]


def test_the_hidden_width_is_four_times_the_backbones_unless_given():
    method = build()
    assert (
        method.instance_projector[0].out_features == method.cluster_projector[0].out_features == 4 * ToyBackbone.width
    )
    assert build(hidden=10).cluster_projector[0].out_features == 10


def test_forward_gives_unit_rows_and_probabilities_each_view_by_itself():
    method, views = build(), toy_views(8)
    outputs = method(views, PROGRESS)
    assert (outputs["z"].shape, outputs["c"].shape) == ((8, 2, 128), (8, 2, 3))
    torch.testing.assert_close(outputs["z"].norm(dim=-1), torch.ones(8, 2))
    torch.testing.assert_close(outputs["c"].sum(-1), torch.ones(8, 2))
    pooled = build().backbone(views.images[1]).pooled
    torch.testing.assert_close(outputs["c"][:, 1], build().cluster_projector(pooled))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert {value.dtype for value in method(views, PROGRESS).values()} == {torch.float32}


def test_assign_gives_the_clusters_of_pooled_features():
    method = build().eval()
    features = method.encoder()(toy_views(8).images[0]).pooled
    assigned = method.assign(features)
    torch.testing.assert_close(assigned.sum(1), torch.ones(8))
    torch.testing.assert_close(assigned[:1], method.assign(features[:1]))  # of each image alone
    assert method.encoder() is method.backbone


def test_the_gradient_reaches_every_parameter():
    method = build().double()
    method.loss(method(toy_views(8, dtype=torch.float64), PROGRESS), ALONE, PROGRESS).total.backward()
    assert [name for name, p in method.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_training_separates_three_kinds_of_image():
    torch.manual_seed(1)
    patterns = torch.randn(3, 1, 8, 8)
    method = build(toy_facts(batch_size=24)).train()
    optimiser = torch.optim.AdamW(method.parameters(), lr=1e-2, weight_decay=0.0)
    kinds = torch.arange(24) % 3
    losses = []
    for step in range(60):
        views = toy_views(24, seed=step)
        views = type(views)(tuple(patterns[kinds] + 0.3 * v for v in views.images), views.index, views.extras)
        loss = method.loss(method(views, PROGRESS), ALONE, PROGRESS)
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
        losses.append(float(loss.total.detach()))
    assert losses[-1] < 0.8 * method.chance_level()
    clusters = method.eval().assign(method.backbone(patterns[kinds]).pooled).argmax(1)
    assert len({(int(k), int(c)) for k, c in zip(kinds, clusters, strict=True)}) == 3
    assert len(set(clusters.tolist())) == 3


def test_the_state_is_all_there_is():
    first, second = build(), build()
    first(toy_views(8), PROGRESS)
    assert not torch.equal(first.cluster_projector[1].running_mean, second.cluster_projector[1].running_mean)
    second.load_state_dict(first.state_dict())
    views = toy_views(8, seed=3)
    first.eval(), second.eval()
    torch.testing.assert_close(first(views, PROGRESS)["c"], second(views, PROGRESS)["c"], rtol=0, atol=0)


def test_views_and_recipes_are_the_published_ones():
    one, two = build().view_plan().views
    assert (one.size, one.scale, one.ops, two.ops) == (None, (1.0, 1.0), (), ())
    assert (one.paper.scale, one.paper.jitter) == ((0.08, 1.0), (0.4, 0.4, 0.2, 0.1))
    assert [(v.paper.blur_p, v.paper.solarise_p, v.paper.grey_p) for v in (one, two)] == [
        (1.0, 0.0, 0.2),
        (1.0, 0.2, 0.2),
    ]
    assert (VTCC.recipe.learning_rate, VTCC.recipe.final_learning_rate, VTCC.recipe.weight_decay) == (3e-4, 3e-4, 0.0)
    assert VTCC.recipe.reference_batch is None
    assert VTCC.lens_recipe.optimiser == "adamw"


@pytest.mark.parametrize(
    ("batch", "micro", "clusters", "word"),
    [(8, 1, 3, "micro_batch"), (4, 4, 5, "5 clusters"), (8, 8, 3, None), (8, 2, 3, None)],
)
def test_runs_that_cannot_work_are_refused(batch, micro, clusters, word):
    facts = toy_facts(batch_size=batch, micro_batch=micro)
    messages = list(VTCCOptions(clusters=clusters).check(facts))
    assert [word in m for m in messages] == ([True] if word else [])


@pytest.mark.parametrize(
    "wrong",
    [{"clusters": 1}, {"temperature": 0.0}, {"cluster_temperature": -1.0}, {"entropy_weight": -0.1}, {"hidden": 0}],
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        VTCCOptions(**wrong)


def test_columns_and_rows_share_nt_xent():
    c = random_outputs()["c"]
    columns = F.normalize(c.permute(2, 1, 0), dim=-1)
    assert torch.equal(cluster_contrast(c, 0.5), nt_xent(columns, columns, 0, 0.5)[0])


def test_it_is_found_and_its_options_need_no_torch():
    (row,) = catalogue([one for one in scan() if (one.kind, one.name) == ("method", "vtcc")])
    assert (row.state, row.found.distribution) == ("ok", "deeplense-vtcc")
    code = "import sys, deeplense_vtcc, deeplense_vtcc.options; assert 'torch' not in sys.modules"
    run([sys.executable, "-c", code], check=True)
