"""Time left, from planted durations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplense_registry.survey.forecast import Work, forecast, predicted

FACTOR = st.floats(0.1, 10.0)


@given(st.lists(FACTOR, min_size=2, max_size=5), st.lists(FACTOR, min_size=2, max_size=4))
def test_a_product_of_factors_is_found_from_a_cross(methods: list[float], backbones: list[float]) -> None:
    """One backbone with every method, and one method with every backbone, tell of all."""
    truth = {("d", f"m{m}", f"b{b}"): x * y for m, x in enumerate(methods) for b, y in enumerate(backbones)}
    measured = {key: value for key, value in truth.items() if key[1] == "m0" or key[2] == "b0"}
    for key, value in truth.items():
        assert predicted(measured, key) == pytest.approx(value, rel=1e-6)


@given(FACTOR)
def test_the_first_speaks_for_all(value: float) -> None:
    assert predicted({("d", "m", "b"): value}, ("d", "n", "c")) == pytest.approx(value)
    assert predicted({("d", "m", "b"): value}, ("e", "m", "b")) == pytest.approx(value)


def test_a_method_speaks_for_its_backbones() -> None:
    measured = {("d", "slow", "b"): 4.0, ("d", "quick", "b"): 1.0}
    slow, quick = (predicted(measured, ("d", method, "other")) for method in ("slow", "quick"))
    assert slow / quick == pytest.approx(4.0)


def test_nothing_is_known_before_a_step() -> None:
    assert forecast([Work(("d", "m", "b"), 100)], {}, {}) is None


def test_steps_and_evaluation_add_up() -> None:
    key, other = ("d", "m", "b"), ("d", "n", "b")
    work = [Work(key, 10, per_step=0.5), Work(other, 100)]
    before = forecast(work, {key: 0.5}, {})
    assert before is not None
    assert (before.seconds, before.whole) == (pytest.approx(55.0), False)
    after = forecast(work, {key: 0.5, other: 0.1}, {key: 3.0})
    assert after is not None
    assert (after.seconds, after.whole) == (pytest.approx(5.0 + 3.0 + 10.0 + 3.0), True)


def test_an_evaluation_under_way_counts_for_what_is_left() -> None:
    key = ("d", "m", "b")
    for spent, left in ((0.0, 8.0), (5.0, 3.0), (50.0, 0.0)):
        found = forecast([Work(key, 0, 0.5, evaluated=spent)], {key: 0.5}, {key: 8.0})
        assert found is not None
        assert found.seconds == pytest.approx(left)
        assert found.late == (spent > 8.0)
    unknown = forecast([Work(key, 0, 0.5, evaluated=50.0)], {key: 0.5}, {})
    assert unknown is not None
    assert not unknown.late


def test_workers_share_but_a_cell_is_one_piece() -> None:
    key = ("d", "m", "b")
    four = [Work(key, 10)] * 4
    shared = forecast(four, {key: 1.0}, {}, workers=2)
    alone = forecast([Work(key, 30), Work(key, 1)], {key: 1.0}, {}, workers=2)
    assert shared is not None
    assert alone is not None
    assert shared.seconds == pytest.approx(20.0)
    assert alone.seconds == pytest.approx(30.0)
    nothing = forecast([], {key: 1.0}, {})
    assert nothing is not None
    assert nothing.seconds == 0.0
