"""Label draws: which images are labelled."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplense_registry import UserError
from deeplense_registry.evaluation import label_draws, labelled
from deeplense_registry.spec import LabelsTable

counts_and_budget = st.lists(st.integers(1, 60), min_size=1, max_size=6).flatmap(
    lambda counts: st.tuples(st.just(counts), st.integers(1, sum(counts)))
)


def classes_of(counts, absent=0, seed=0):
    targets = np.concatenate([np.full(n, k) for k, n in enumerate(counts)] + [np.full(absent, -1)])
    return np.random.default_rng(seed).permutation(targets)


@settings(max_examples=60, deadline=None)
@given(counts_and_budget, st.integers(0, 20))
def test_a_stratified_draw_is_proportional_and_has_every_class(case, absent):
    counts, budget = case
    targets = classes_of(counts, absent)
    for draw in label_draws(targets, LabelsTable(budgets=(budget,), draws=2), "class", classes=len(counts))[0]:
        assert len(draw.index) == len(set(draw.index)) == budget
        assert (np.diff(draw.index) > 0).all()
        drawn = np.bincount(targets[draw.index], minlength=len(counts))  # raises if a -1 were drawn
        quota = budget * np.array(counts) / sum(counts)
        if budget >= len(counts):
            assert (drawn >= 1).all()
        if (np.floor(quota) >= 1).all():
            assert (np.abs(drawn - quota) < 1).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 50), st.integers(0, 20), st.data())
def test_a_draw_of_quantities_is_of_known_ones(count, absent, data):
    budget = data.draw(st.integers(1, count))
    targets = np.random.default_rng(1).permutation(np.r_[np.linspace(0, 1, count), np.full(absent, np.nan)])
    for draw in label_draws(targets, LabelsTable(budgets=(budget,), draws=3), "radius", classes=None)[0]:
        assert len(set(draw.index)) == budget
        assert np.isfinite(targets[draw.index]).all()


def test_all_is_one_draw_of_every_labelled_image():
    targets = np.array([0, -1, 1, 1, -1, 0])
    (draws,) = label_draws(targets, LabelsTable(budgets=("all",)), "class", classes=2)
    assert [draw.number for draw in draws] == [0]
    assert draws[0].index.tolist() == [0, 2, 3, 5]
    assert labelled(targets).tolist() == [True, False, True, True, False, True]


def test_draws_depend_on_seed_target_budget_and_number_alone():
    targets = classes_of([50, 50])
    table = LabelsTable(budgets=(10, 20), draws=3)

    def indices(targets=targets, target="class", **changes):
        drawn = label_draws(targets, LabelsTable(**{"budgets": (10, 20), "draws": 3, **changes}), target, classes=2)
        return [[draw.index.tolist() for draw in draws] for draws in drawn]

    assert indices() == [[d.index.tolist() for d in draws] for draws in label_draws(targets, table, "class", classes=2)]
    assert indices(budgets=(20,))[0] == indices()[1]  # whatever the other budgets are
    assert indices(draws=5)[0][:3] == indices()[0]
    assert indices(seed=1) != indices()
    assert indices(target="other") != indices()
    assert len({str(draw) for draw in indices()[0]}) == 3


def test_without_strata_the_numbers_vary():
    targets = classes_of([500, 500])
    table = LabelsTable(budgets=(20,), draws=20, stratified=False)
    numbers = {int((targets[draw.index] == 0).sum()) for draw in label_draws(targets, table, "class", classes=2)[0]}
    assert len(numbers) > 2


def test_every_image_is_drawn_equally_often():
    table = LabelsTable(budgets=(10,), draws=400)
    times = np.zeros(40)
    for draw in label_draws(classes_of([20, 20]), table, "class", classes=2)[0]:
        times[draw.index] += 1
    assert times.min() > 60  # expected 100, standard deviation 8.7
    assert times.max() < 140


@pytest.mark.parametrize(
    ("targets", "table", "classes", "words"),
    [
        (np.array([0, 1, -1]), LabelsTable(budgets=(3,)), 2, ["'mass'", "3 labelled", "has 2", '"all"']),
        (np.array([0, 0, 2]), LabelsTable(budgets=("all",)), 3, ["'mass'", "class 1"]),
        (np.array([np.nan]), LabelsTable(budgets=("all",)), None, ["'mass'", "no training image"]),
        (np.array([1.0, np.nan]), LabelsTable(budgets=(2,)), None, ["'mass'", "2 labelled", "has 1"]),
    ],
)
def test_what_cannot_be_drawn_is_refused(targets, table, classes, words):
    with pytest.raises(UserError) as refused:
        label_draws(targets, table, "mass", classes=classes)
    assert all(word in str(refused.value) for word in words)
