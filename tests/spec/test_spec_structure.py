"""Strict typing: what is taken, what is refused, and that everything refused is told."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Optional, Union

import attrs
import pytest
from attrs import frozen, validators
from hypothesis import given
from hypothesis import strategies as st

from deeplense_registry.components import option
from deeplense_registry.spec.problems import Faults, dotted, nearest
from deeplense_registry.spec.structure import plain, structure


class Colour(enum.Enum):
    RED = "red"


@frozen
class Inner:
    low: int = option("Low.", 0)
    high: int = option("High.", 9)

    def __attrs_post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


@frozen
class Everything:
    must: int = option("It must be there.")
    pair: tuple[int, float] = option("Two.", (1, 2.0))
    many: tuple[str, ...] = option("Many.", ())
    items: list[Inner] = option("Tables.", factory=list)
    order: Sequence[int] = option("Numbers.", ())
    by_name: dict[str, float] = option("By name.", factory=dict)
    nested: Mapping[str, Inner] = option("By name.", factory=dict)
    anything: Any = option("Anything.", None)
    loose: tuple = option("Of anything.", ())  # type: ignore[type-arg]
    open: dict = option("Of anything.", factory=dict)  # type: ignore[type-arg]
    where: Path = option("A file.", Path("x"))
    colour: Colour = option("A colour.", Colour.RED)
    choice: Optional[Literal["a", 1]] = option("One of them.", None)  # noqa: UP045
    either: Union[int, Literal["all"], tuple[int, int]] = option("Several.", "all")  # noqa: UP007
    inner: Inner | None = option("A table.", None)


def faults(**table: Any) -> dict[str, str]:
    with pytest.raises(Faults) as caught:
        structure({"must": 1, **table}, Everything, "key")
    return {dotted(fault.path): fault.text for fault in caught.value.faults}


def test_everything_right() -> None:
    table = {
        "must": 1,
        "pair": [1, 2],
        "many": ["a", "b"],
        "items": [{"low": 1}],
        "order": [3],
        "by_name": {"x": 1},
        "nested": {"x": {"high": 4}},
        "anything": {"y": [1]},
        "loose": [1, "a"],
        "open": {"z": 1},
        "where": "a/b",
        "colour": "red",
        "choice": 1,
        "either": [1, 2],
        "inner": {"low": 2},
    }
    made = structure(table, Everything, "key")
    assert made.pair == (1, 2.0)
    assert type(made.pair[1]) is float
    assert made.items == [Inner(low=1)]
    assert (made.order, made.where, made.either, made.inner) == ([3], Path("a/b"), (1, 2), Inner(low=2))
    assert structure({**plain(made), "colour": "red"}, Everything, "key") == made


@pytest.mark.parametrize(
    ("key", "value", "path", "text"),
    [
        ("must", True, "must", "expected an integer, got the boolean true"),
        ("must", 1.0, "must", "expected an integer, got the float 1.0"),
        ("pair", [1], "pair", "expected 2 values, got 1"),
        ("pair", [1, "x"], "pair[1]", 'expected a number, got the string "x"'),
        ("many", "ab", "many", 'expected an array, got the string "ab"'),
        ("many", [["a"]], "many[0]", "expected a string, got an array"),
        ("items", [{"low": 1}, {"lwo": 1}], "items[1].lwo", 'unknown key; did you mean "low"?'),
        ("items", [{"low": 10}], "items[0]", "low is above high"),
        ("order", [1, {}], "order[1]", "expected an integer, got a table"),
        ("by_name", {"a b": True}, 'by_name."a b"', "expected a number, got the boolean true"),
        ("by_name", [], "by_name", "expected a table, got an array"),
        ("nested", {"x": 3}, "nested.x", "expected a table, got the integer 3"),
        ("where", 3, "where", "expected a string, got the integer 3"),
        ("colour", "green", "colour", "'green' is not a valid Colour"),
        ("choice", True, "choice", 'expected "a" or 1, got the boolean true'),
        ("either", "al", "either", 'expected an integer or "all" or an array, got the string "al"'),
    ],
)
def test_refused(key: str, value: Any, path: str, text: str) -> None:
    assert faults(**{key: value}) == {path: text}


def test_missing_key_tells_what_it_is_for() -> None:
    with pytest.raises(Faults, match='"must" is missing: It must be there'):
        structure({}, Everything, "key")


def test_all_faults_at_once() -> None:
    assert len(faults(must=1.5, pair=[0.5, "x"], unknown=1, items=[{"low": "x", "high": "y"}])) == 6


def _double(value: int) -> int:
    return 2 * value


@frozen
class Range:
    low: int = attrs.field(default=0)
    high: int = attrs.field(default=9, validator=validators.ge(0))
    doubled: int = attrs.field(default=1, converter=_double, validator=validators.lt(10))
    hidden: int = attrs.field(default=3, init=False)

    @high.validator
    def _above(self, _: object, value: int) -> None:
        if value < self.low:
            raise ValueError("high is below low")


@pytest.mark.parametrize(
    ("table", "path", "text"),
    [
        ({"high": -1}, "high", "'high' must be >= 0: -1"),
        ({"low": 5, "high": 4}, "high", "high is below low"),
        ({"doubled": 7}, "", "'doubled' must be < 10: 14"),
        ({"hidden": 7}, "hidden", "unknown key; known: doubled, high, low"),
    ],
)
def test_validators_of_every_kind(table: dict[str, int], path: str, text: str) -> None:
    with pytest.raises(Faults) as caught:
        structure(table, Range, "key")
    assert [(dotted(fault.path), fault.text) for fault in caught.value.faults] == [(path, text)]


def test_validator_that_needs_an_absent_field_waits_for_the_constructor() -> None:
    assert structure({"high": 4}, Range, "key") == Range(high=4)


def test_wordless_error() -> None:
    @frozen
    class Silent:
        def __attrs_post_init__(self) -> None:
            raise ValueError

    with pytest.raises(Faults, match="ValueError"):
        structure({}, Silent, "key")


def test_nothing_is_known() -> None:
    assert nearest("x", ()) == "; none is known here"


@frozen
class Scalars:
    whole: int = 0
    number: float = 0.0
    yes: bool = False
    text: str = ""


@given(
    st.sampled_from(["whole", "number", "yes", "text"]), st.one_of(st.booleans(), st.integers(), st.floats(), st.text())
)
def test_a_scalar_is_taken_as_it_is_or_refused(name: str, value: Any) -> None:
    kind = {"whole": int, "number": float, "yes": bool, "text": str}[name]
    fits = type(value) is kind or (kind is float and type(value) is int)
    if fits and value == value:  # NaN is no number
        assert getattr(structure({name: value}, Scalars, "key"), name) == value
    else:
        with pytest.raises(Faults):
            structure({name: value}, Scalars, "key")
