"""Known rankings and known ties are found, and no more."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from attrs import evolve
from comparison.planted_runs import measurement, plant, scores, survey
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from deeplense_registry.comparison import Choice, Condition, Difference, Scores, alike, compare, gather, holm, letters
from deeplense_registry.comparison.scores import goodness, paired
from deeplense_registry.comparison.significance import mean_ranks, overall, pairwise

AUROC = Condition("linear", "class", "auroc", 30)


def naive_holm(p_values):
    """Step by step, as Holm wrote it: is each rejected at a level, for the least level at which it is."""
    adjusted = []
    for own in range(len(p_values)):
        levels = sorted({min(1.0, p * k) for p in p_values for k in range(1, len(p_values) + 1)})
        adjusted.append(next((level for level in levels if own in rejected(p_values, level)), 1.0))
    return adjusted


def rejected(p_values, level):
    order = sorted(range(len(p_values)), key=lambda k: p_values[k])
    found = set()
    for step, k in enumerate(order):
        if p_values[k] > level / (len(order) - step) * (1 + 1e-12):
            break
        found.add(k)
    return found


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_what_holm_wrote(p_values):
    assert holm(p_values) == pytest.approx(naive_holm(p_values), abs=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_others(p_values):
    adjusted = np.array(holm(p_values))
    assert (adjusted <= np.minimum(1, np.array(p_values) * len(p_values)) + 1e-12).all()  # Bonferroni
    assert (adjusted >= false_discovery_control(p_values) - 1e-12).all()  # Benjamini and Hochberg


def test_holm_of_the_textbook():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def planted(tmp_path, level, **more):
    (group,), warnings = gather(survey(tmp_path, level, **more))
    assert not warnings
    return group


def test_a_known_ranking_is_found(tmp_path):
    level = {"dino": 0.85, "simclr": 0.75, "swav": 0.65}
    group = planted(tmp_path, lambda method, _, __: level[method], backbones=("levit",), seeds=(0, 1, 2, 3, 4))
    conditions = group.conditions()
    assert [one.labels for one in conditions] == [30, 300]
    assert mean_ranks(group, conditions) == {"dino-levit": 1.0, "simclr-levit": 2.0, "swav-levit": 3.0}
    for found in (pairwise(group, AUROC), overall(group, conditions)):
        assert len(found) == 3
        assert all(one.significant and one.better for one in found)
    (first, *_) = pairwise(group, AUROC)
    assert first.low < 0.1 < first.high
    alone = group.models[0].scores["trained", AUROC].interval("auroc")
    assert first.high - first.low < 0.5 * (alone.high - alone.low)  # paired: what draws and images share is gone


def test_known_ties_are_found(tmp_path):
    level = {"dino": 0.85, "simclr": 0.75, "swav": 0.75}
    group = planted(tmp_path, lambda method, _, __: level[method], backbones=("levit",), seeds=(0, 1, 2, 3, 4))
    means = mean_ranks(group, group.conditions())
    found = overall(group, group.conditions())
    assert alike(means, found)[0] == ["dino-levit"]
    assert set(alike(means, found)[1]) == {"simclr-levit", "swav-levit"}
    marks = letters(means, found)
    assert marks["dino-levit"] == "a"
    assert marks["simclr-levit"] == marks["swav-levit"] == "b"


def test_equal_models_are_seldom_called_different(tmp_path):
    false = 0
    for trial in range(20):
        methods = tuple(f"m{trial}x{k}" for k in range(4))
        group = planted(tmp_path / str(trial), lambda *_: 0.7, methods=methods, backbones=("levit",))
        false += any(one.significant for one in pairwise(group, AUROC))
        false += any(one.significant for one in overall(group, group.conditions()))
    assert false <= 6  # of 40; 2 by the level


def made(one, other, p):
    return Difference(one, other, 0.1, 0.0, 0.2, p, better=True)


@given(
    st.integers(2, 6).flatmap(lambda n: st.lists(st.booleans(), min_size=n * (n - 1) // 2, max_size=n * (n - 1) // 2))
)
def test_two_models_share_a_letter_if_and_only_if_they_do_not_differ(flags):
    count = next(n for n in range(2, 7) if n * (n - 1) // 2 == len(flags))
    means = {f"m{k}": float(k + 1) for k in range(count)}
    differences = [
        made(*pair, 0.01 if differ else 0.5) for pair, differ in zip(combinations(means, 2), flags, strict=True)
    ]
    marks = {name: set(text.split()) for name, text in letters(means, differences).items()}
    assert all(marks.values())
    for one in differences:
        assert bool(marks[one.one] & marks[one.other]) != one.significant


def test_letters_go_on_after_z():
    means = {f"m{k:02}": float(k) for k in range(28)}
    differences = [made(*pair, 0.0) for pair in combinations(means, 2)]
    assert [letters(means, differences)[name] for name in ("m00", "m25", "m26", "m27")] == ["a", "z", "a1", "b1"]


def test_pairs_are_of_common_seeds_and_first_draws():
    rng = np.random.default_rng(0)
    one = Scores((0, 1, 3), rng.normal(size=(11, 3, 5)), 3 * ((0, 1, 2, 3, 4),))
    other = Scores((1, 2, 3), rng.normal(size=(6, 3, 2)), 3 * ((0, 1),))
    mine, theirs = paired([one, other])
    assert mine == pytest.approx(one.replicates[:6, [1, 2], :2])
    assert theirs == pytest.approx(other.replicates[:6, [0, 2], :2])
    assert paired([one, evolve(other, seeds=(4, 5, 6))]) is None


def test_seeds_with_draws_of_their_own_are_one_observation_each():
    rng = np.random.default_rng(0)
    one = Scores((0, 1, 2), rng.normal(size=(6, 3, 4)), 3 * ((0, 1, 2, 3),))
    other = Scores((0, 1, 2), rng.normal(size=(6, 3, 2)), ((0, 1), (2, 3), (0, 1)))
    assert other.draws == 4
    mine, theirs = paired([one, other])
    own, turn = one.replicates, other.replicates
    of_first = np.concatenate([own[:, 0, :2], own[:, 2, :2]], axis=1).mean(1)
    assert mine == pytest.approx(np.stack([of_first, own[:, 1, 2:].mean(1)], axis=1)[..., None])
    assert theirs == pytest.approx(np.stack([turn[:, [0, 2]].mean((1, 2)), turn[:, 1].mean(1)], axis=1)[..., None])
    assert other.value == pytest.approx(theirs[0].mean())
    assert paired([other, evolve(other, numbers=((0, 1), (0, 1), (2, 3)))]) is None


def test_the_interval_of_seeds_with_draws_of_their_own_covers():
    rng, inside = np.random.default_rng(1), 0
    for _ in range(1000):
        scores = rng.normal(size=(1, 5, 1)) + 3.0 * rng.normal(size=(1, 5, 2))
        found = Scores(tuple(range(5)), scores, tuple((2 * k, 2 * k + 1) for k in range(5))).interval("r2")
        inside += found.low < 0.0 < found.high
    assert 930 <= inside <= 970


@pytest.mark.parametrize(
    ("metric", "good", "poor"),
    [("auroc", 0.9, 0.8), ("mae", 0.1, 0.2), ("median_bias", -0.1, 0.3), ("risk_at_80", 0.1, 0.2), ("nmi", 0.5, 0.4)],
)
def test_more_is_better_or_less_is(metric, good, poor):
    assert goodness(metric, np.array(good)) > goodness(metric, np.array(poor))


def test_less_error_is_ranked_better(tmp_path):
    for method, error in (("dino", 0.1), ("swav", 0.3)):
        table = scores(error, model=method, seed=0, budget=30, draws=5)
        rows = [measurement(table, evaluator="ridge", target="radius", metric="mae", labels=30, encoder="trained")]
        plant(tmp_path / method, rows, method=method)
    from deeplense_registry.survey import find_runs

    (one,), _ = compare(find_runs([tmp_path]), Choice(metrics=("mae",)))
    assert [model.method for model in one.models] == ["dino", "swav"]
    (difference,) = one.differences[one.conditions[0]]
    assert difference.better
    assert difference.value < 0
