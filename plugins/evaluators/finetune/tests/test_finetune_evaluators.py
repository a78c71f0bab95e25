"""Fine-tuning and the supervised baseline on planted images: what they must find, and what they refuse."""

import json
import subprocess
import sys
from typing import get_args

import attrs
import numpy as np
import pytest
import torch
from deeplense_finetune import deeplense_components, evaluator
from deeplense_finetune.evaluator import Finetune, Supervised
from deeplense_finetune.options import ClassMetric, FinetuneOptions, QuantityMetric, SupervisedOptions
from deeplense_finetune.training import outputs_of, train
from sklearn.metrics import roc_auc_score
from torch.nn.functional import cross_entropy

from deeplense_registry import UserError, catalogue, scan
from deeplense_registry.evaluation import METRICS, ArrayCache, judge
from deeplense_registry.evaluation.metrics import AUROC_PER_CLASS

QUICK = {"steps": 40, "checks": 4, "learning_rate": 0.02, "batch_size": 16}


def finetune(*targets, **options):
    return Finetune(FinetuneOptions(**{"targets": targets or ("class",), **QUICK, **options}))


def supervised(*targets, **options):
    return Supervised(SupervisedOptions(**{"targets": targets or ("class",), **QUICK, **options}))


def measured(evaluator, bench):
    return {(m.target, m.metric, m.labels): m for m in judge(evaluator, "tuned", bench)}


def test_a_good_encoder_is_tuned_far_above_chance(planted):
    found = measured(finetune("class", "radius"), planted())
    assert found["class", "auroc", 30].low > 0.8
    assert found["radius", "r2", 30].value > 0.5
    assert {m.repeats for m in found.values()} == {2}
    assert {m.encoder for m in found.values()} == {"trained"}
    assert all(m.replicates.shape == (41, 2) for m in found.values())


def test_noise_is_chance(planted):
    m = measured(finetune(draws=3), planted(signal=0.0))["class", "auroc", 30]
    assert m.low < 0.5 < m.high


def test_a_good_encoder_beats_the_same_network_from_scratch(planted, small):
    tuned = measured(finetune(learning_rate=1e-3), planted())["class", "auroc", 30]
    scratch = measured(
        supervised(learning_rate=1e-3), planted(encoder="untrained", backbone=small(good=False))
    )["class", "auroc", 30]  # fmt: skip
    assert tuned.value > scratch.value + 0.1
    assert scratch.encoder == "supervised"


def test_runs_share_a_training_from_scratch_and_not_one_of_their_own(planted, small, tmp_path, monkeypatch):
    trainings = []
    monkeypatch.setattr(evaluator, "train", lambda *args, **kwargs: trainings.append(train(*args, **kwargs)))

    def run(tuned, name):
        scratch = small(good=False)
        bench = attrs.evolve(planted(encoder=name, backbone=scratch), shared=ArrayCache(tmp_path, "ab" * 32))
        before = len(trainings)
        return measured(tuned, bench), len(trainings) - before

    first, count = run(supervised(), "untrained")
    again, none = run(supervised(), "untrained")
    assert (count, none) == (2, 0)
    assert {key: m.value for key, m in again.items()} == {key: m.value for key, m in first.items()}
    assert run(supervised(weight_decay=0.1), "untrained")[1] == 2
    assert run(supervised(metrics=("accuracy",), draws=1), "untrained")[1] == 0
    assert [run(finetune(), "trained")[1] for _ in range(2)] == [2, 2]


def test_each_runs_on_its_own_encoder_alone(planted):
    assert not measured(finetune(), planted(encoder="untrained"))
    assert not measured(supervised(), planted(encoder="trained"))


def test_the_encoder_that_is_judged_stays_as_it_is(planted):
    bench = planted()
    before = {name: value.clone() for name, value in bench.backbone.state_dict().items()}
    measured(finetune(steps=3), bench)
    assert all(torch.equal(value, before[name]) for name, value in bench.backbone.state_dict().items())


def test_it_repeats_itself_and_leaves_torchs_generator_alone(planted, small):
    evaluator = finetune("class", "radius", steps=6)
    benches = [planted(backbone=small(dropout=rate)) for rate in (0.5, 0.5, 0.0)]
    state = torch.random.get_rng_state()
    first = [m.as_json() for m in judge(evaluator, "tuned", benches[0])]
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(3)
    again, still = ([m.as_json() for m in judge(evaluator, "tuned", bench)] for bench in benches[1:])
    assert json.dumps(first) == json.dumps(again) != json.dumps(still)


def test_balancing_finds_the_rare_class(planted):
    recall = {}
    for name, options in (
        ("plain", {}),
        ("weighted", {"weighting": "balanced"}),
        ("sampled", {"sampling": "balanced"}),
    ):
        bench = planted(signal=1.5, shares=(20, 1, 1), sizes=(400, 200, 400), budgets=(100,))
        evaluator = finetune(metrics=("balanced_accuracy",), learning_rate=0.01, **options)
        recall[name] = measured(evaluator, bench)["class", "balanced_accuracy", 100].value
    assert recall["weighted"] > recall["plain"] + 0.05
    assert recall["sampled"] > recall["plain"] + 0.05


def judged(bench, monkeypatch, **options):
    """How bad the only training's last state is, and what that may be by other means."""
    seen = []

    def watched(network, *args, validate, **kwargs):
        train(network, *args, validate=validate, **kwargs)
        index = np.flatnonzero(bench.targets("val", "class") >= 0)
        truth = bench.targets("val", "class")[index]
        outputs = outputs_of(network, bench.stream("val", index, 256))
        losses = cross_entropy(outputs, torch.tensor(truth), reduction="none").numpy()
        seen.append(validate())
        seen.append(
            {
                "auroc": 1 - roc_auc_score(truth, outputs.softmax(1).double(), multi_class="ovr"),
                "loss": losses.mean(),
                "balanced": np.mean([losses[truth == label].mean() for label in range(3)]),
            }
        )

    monkeypatch.setattr(evaluator, "train", watched)
    measured(finetune(**options), bench)
    assert len(seen) == 2
    return seen


@pytest.mark.parametrize("choose_by", ["auroc", "loss"])
def test_the_best_state_has_the_highest_auroc_or_the_lowest_loss(planted, monkeypatch, choose_by):
    bad, expected = judged(planted(signal=0.5, draws=1), monkeypatch, choose_by=choose_by)
    assert bad == pytest.approx(expected[choose_by], abs=1e-6)


@pytest.mark.parametrize("options", [{"weighting": "balanced"}, {"sampling": "balanced"}, {}])
def test_a_balanced_training_is_judged_as_balanced_on_any_validation_split(planted, monkeypatch, options):
    bench = planted(shares=(20, 1, 1), sizes=(400, 200, 100), budgets=(100,), draws=1)
    bench.source.known["val"]["class"] = np.repeat([0, 1, 2], [50, 50, 100])  # not as the draw
    bad, expected = judged(bench, monkeypatch, choose_by="loss", **options)
    assert abs(expected["loss"] - expected["balanced"]) > 1e-3
    assert bad == pytest.approx(expected["balanced" if options else "loss"], rel=1e-5)


def test_a_validation_split_without_a_class_has_no_auroc(planted):
    bench = planted()
    truth = bench.source.known["val"]["class"]
    truth[truth == 1] = 0
    with pytest.raises(
        UserError, match=r"\[evaluate.finetune\] .* by AUROC, .* no image of class 'cdm'; set choose_by"
    ):
        measured(finetune(), bench)
    assert measured(finetune(choose_by="loss"), bench)["class", "auroc", 30].low > 0.8


@pytest.mark.parametrize("regression", ["mse", "nll", "bins"])
def test_every_loss_of_quantities_learns(planted, regression):
    evaluator = finetune("radius", regression=regression, bins=20, range=(-0.5, 2.5), draws=1, steps=100)
    assert measured(evaluator, planted(budgets=("all",)))["radius", "r2", 105].value > 0.6


def test_seeds_take_turns_with_the_draws(planted):
    taken = []
    for seed in range(4):
        bench = planted(budgets=(30, "all"), draws=5)
        bench.seed = seed
        found = measured(finetune(draws=2, steps=2), bench)
        assert found["class", "auroc", 105].draws == (0,)
        taken.append(found["class", "auroc", 30].draws)
    assert taken == [(0, 1), (2, 3), (0, 1), (2, 3)]  # a fifth draw would be shared in part


def test_budgets_and_draws_can_be_left_out(planted):
    bench = planted(budgets=(5, 30, "all"))
    found = measured(finetune(largest_budget=30, draws=1, steps=2), bench)
    assert {(m.labels, m.repeats) for m in found.values()} == {(5, 1), (30, 1)}
    with pytest.raises(UserError, match=r"\[evaluate.finetune\] largest_budget: .* is 4 or less; the smallest is 5"):
        measured(finetune(largest_budget=4), bench)


def test_a_draw_that_misses_a_class_is_learned(planted):
    for options in ({}, {"weighting": "balanced"}, {"sampling": "balanced"}):
        bench = planted(budgets=(2,), sizes=(120, 60, 150))
        found = measured(finetune(metrics=("accuracy",), **options), bench)
        assert 0.2 < found["class", "accuracy", 2].value < 0.8


def test_a_draw_of_one_class_is_refused(planted):
    for target, what in (("class", "class"), ("radius", "value")):
        with pytest.raises(UserError, match=f"the 1 labelled images of a draw have one and the same {what}"):
            measured(finetune(target), planted(budgets=(1,)))


def test_a_class_that_no_training_image_has_is_refused(planted):
    bench = planted()
    truth = bench.source.known["train"]["class"]
    truth[truth == 2] = -1
    with pytest.raises(UserError, match="no labelled training image of class 2"):
        measured(finetune(), bench)


def test_without_validation_it_is_refused_unless_nothing_is_chosen(planted):
    bench = planted()
    bench.source.known["val"]["class"][5:] = -1
    with pytest.raises(
        UserError, match=r"\[evaluate.finetune\] chooses the best state .* 10 are the least.*checks = 0"
    ):
        measured(finetune(), bench)
    assert measured(finetune(checks=0), bench)["class", "auroc", 30].low > 0.8


def test_a_test_split_that_is_too_small_is_refused(planted):
    bench = planted()
    bench.source.known["test"]["radius"][1:] = np.nan
    with pytest.raises(UserError, match=r"'test' has . images labelled with 'radius', and 2 are the least"):
        measured(finetune("radius"), bench)


@pytest.mark.parametrize(
    ("evaluator", "message"),
    [
        (finetune("mass"), r"\[evaluate.finetune\] targets: .* no 'mass'; its targets: 'class', 'radius'"),
        (finetune("class", "radius", metrics=("r2",)), "of the metrics r2 none is for a class"),
    ],
)
def test_what_does_not_suit_is_refused_before_training(planted, evaluator, message):
    with pytest.raises(UserError, match=message):
        measured(evaluator, planted())


@pytest.mark.parametrize("splits", [("train",), ("val",), ("test",)])
def test_what_is_not_finite_is_told(planted, splits):
    bench = planted()
    for split in splits:
        bench.source.arrays[split][:] = np.inf
    with pytest.raises(UserError, match=r"is not finite: .*lower the one or the other"):
        measured(finetune(steps=2, checks=1, shift=0.0, rotate=False), bench)


def test_options_refuse_what_makes_no_sense():
    for wrong in ({"range": (1.0, 1.0)}, {"warmup": 1.5}, {"layer_decay": 0.0}, {"batch_size": 1}, {"targets": ()}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            FinetuneOptions(**{"targets": ("class",), **wrong})


def test_the_options_offer_the_metrics_there_are():
    assert {*get_args(ClassMetric), *get_args(QuantityMetric)} == {*METRICS, AUROC_PER_CLASS}
    names = {field.name for field in attrs.fields(FinetuneOptions)}
    assert names - {field.name for field in attrs.fields(SupervisedOptions)} == {"layer_decay"}


def test_the_two_entry_points_work():
    rows = catalogue([one for one in scan() if one.distribution == "deeplense-finetune"])
    assert {(row.found.name, row.state) for row in rows} == {("finetune", "ok"), ("supervised", "ok")}
    assert len(list(deeplense_components())) == 2


def test_declaring_and_options_import_no_torch():
    code = "import deeplense_finetune.options, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
