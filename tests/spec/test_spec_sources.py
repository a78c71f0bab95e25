"""Where keys stand, how a child lies over its parent, what ``--set`` does."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from deeplense_registry.spec import SpecError, load_spec
from deeplense_registry.spec.merge import inherit, override
from deeplense_registry.spec.positions import positions
from deeplense_registry.spec.sources import parse_override

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6)
scalars = st.one_of(st.booleans(), st.integers(-(10**9), 10**9), st.floats(allow_nan=False), names, st.dates())
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))
documents = st.dictionaries(names, values, max_size=4)


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> dict[tuple[str | int, ...], Any]:
    inner = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    found = {path: value} if path else {}
    for key, one in inner:
        found |= leaves(one, (*path, key))
    return found


@given(documents)
def test_every_key_and_value_has_a_place(document: dict[str, Any]) -> None:
    text = tomli_w.dumps(document)
    lines = text.split("\n")
    spots = positions(text)
    assert spots.keys() == leaves(tomllib.loads(text)).keys()
    for path, value in leaves(document).items():
        for span in (spots[path].key, spots[path].value):
            assert 0 <= span.column < span.column + span.length <= len(lines[span.line - 1])
        if not isinstance(value, (dict, list)):
            span = spots[path].value
            written = lines[span.line - 1][span.column : span.column + span.length]
            assert tomllib.loads(f"x = {written}")["x"] == value


def test_places_in_every_style() -> None:
    text = '''# a comment with = and [brackets]
top.level = 1  # dotted
"quoted # key" = """
two
lines \\""" still"""
when = 1979-05-27 07:32:00
[table . 'sub']  # spaced
list = [ [1, 2], # one
  { deep = "x, y", more.keys = 3 } ]
[[rows]]
a = 1
[rows.inner]
b = 2
[[rows]]
a = 3.5
'''
    tomllib.loads(text)
    lines, spots = text.split("\n"), positions(text)

    def at(*path: str | int) -> tuple[int, str]:
        span = spots[path].value
        return span.line, lines[span.line - 1][span.column : span.column + span.length]

    assert at("top", "level") == (2, "1")
    assert at("quoted # key") == (3, '"""')
    assert at("when") == (6, "1979-05-27 07:32:00")
    assert at("table", "sub") == (7, "'sub'")
    assert at("table", "sub", "list", 0, 1) == (8, "2")
    assert at("table", "sub", "list", 1, "deep") == (9, '"x, y"')
    assert at("table", "sub", "list", 1, "more", "keys") == (9, "3")
    assert at("rows", 0, "inner", "b") == (13, "2")
    assert at("rows", 1, "a") == (15, "3.5")
    assert at("rows", 1) == (14, "rows")


kinds = st.sampled_from(["dataset", "method", "backbone", "evaluate", "train", "run"])
tables = st.dictionaries(st.sampled_from("abc"), st.integers() | st.lists(st.integers()), max_size=3)
specs = st.dictionaries(kinds, st.dictionaries(st.sampled_from("abc"), tables, max_size=3), max_size=6)


@given(specs)
def test_nothing_over_a_spec_is_the_spec(spec: dict[str, Any]) -> None:
    assert inherit(spec, {}) == inherit({}, spec) == inherit(spec, spec) == spec


@given(specs, specs)
def test_the_child_has_the_last_word(parent: dict[str, Any], child: dict[str, Any]) -> None:
    merged = inherit(parent, child)
    for path, value in leaves(child).items():
        if not isinstance(value, dict):
            assert leaves(merged)[path] == value
    for kind in ("dataset", "method", "backbone"):
        expected = child[kind] if kind in child else parent.get(kind, {})
        assert merged.get(kind, {}).keys() == expected.keys()
    for kind in ("train", "run", "evaluate"):
        assert merged.get(kind, {}).keys() == parent.get(kind, {}).keys() | child.get(kind, {}).keys()


def test_a_shared_instance_is_merged_unless_its_plugin_changes() -> None:
    parent = {"method": {"a": {"x": 1, "nested": {"p": 1}}, "b": {}}}
    assert inherit(parent, {"method": {"a": {"y": 2, "nested": {"q": 2}}}}) == {
        "method": {"a": {"x": 1, "y": 2, "nested": {"p": 1, "q": 2}}}
    }
    assert inherit(parent, {"method": {"a": {"use": "a", "y": 2}}})["method"]["a"]["x"] == 1
    assert inherit(parent, {"method": {"a": {"use": "c", "y": 2}}})["method"]["a"] == {"use": "c", "y": 2}


@given(specs, st.lists(st.sampled_from("abcd"), min_size=1, max_size=4), st.integers())
def test_override_changes_its_key_and_nothing_else(spec: dict[str, Any], path: list[str], value: int) -> None:
    changed = leaves(override(spec, path, value))
    assert changed[tuple(path)] == value
    for other, kept in leaves(spec).items():
        related = other[: len(path)] == tuple(path) or tuple(path)[: len(other)] == other
        assert related or changed[other] == kept


@given(st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False), st.dates(), st.lists(st.integers())))
def test_override_reads_toml_values(value: Any) -> None:
    written = tomli_w.dumps({"x": value}).removeprefix("x = ").replace("\n", "")
    assert parse_override(f"a.b={written}") == (("a", "b"), value)


@pytest.mark.parametrize("text", ["lens", "", "a b", "1 2", "x#y", "1\nb = 2", "2026-13-01"])
def test_override_falls_back_to_a_string(text: str) -> None:
    assert parse_override(f"a={text}") == (("a",), text)


def test_override_of_quoted_keys() -> None:
    assert parse_override('method."a b".x = "y"') == (("method", "a b", "x"), "y")


@pytest.fixture
def family(tmp_path: Path, toy_plugins: Path) -> Path:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "root.toml").write_text(
        "[dataset.sky]\n[method.pair]\ntemperature = 0.5\n[method.twin]\nuse = 'pair'\n"
        "[backbone.net]\n[train]\nbatch_size = 10\nepochs = 7\n[labels]\nbudgets = [1, 2, 3]\n[evaluate.score]\n"
    )
    (tmp_path / "middle.toml").write_text('extends = "base/root.toml"\n[labels]\nbudgets = [4]\n')
    (tmp_path / "child.toml").write_text('extends = "middle.toml"\n[method.pair]\nqueue = 10\n[train]\nepochs = 8\n')
    return tmp_path


def test_grandchild(family: Path) -> None:
    spec = load_spec(
        family / "child.toml", ["train.batch_size=5", "train.batch_size=10", "method.pair.symmetric=false"]
    )
    (pair,) = spec.method
    assert (pair.options.temperature, pair.options.queue, pair.options.symmetric) == (0.5, 10, False)
    assert (spec.train.epochs, spec.train.batch_size, spec.labels.budgets) == (8, 10, (4,))
    origin = spec.sources.origin
    assert origin(("method", "pair", "temperature")) == f"{family / 'base' / 'root.toml'}:3"
    assert origin(("labels", "budgets")) == f"{family / 'middle.toml'}:3"
    assert origin(("train", "epochs")) == f"{family / 'child.toml'}:5"
    assert origin(("train", "batch_size")) == "--set train.batch_size=10"
    assert origin(("train", "precision")) == "default"


def test_override_of_one_method_keeps_the_others(family: Path) -> None:
    spec = load_spec(family / "middle.toml", ["method.pair.temperature=0.25"])
    assert [(one.name, one.options.temperature) for one in spec.method] == [("pair", 0.25), ("twin", 0.1)]


def test_circle_of_two(family: Path) -> None:
    (family / "base" / "root.toml").write_text('extends = "../child.toml"\n')
    with pytest.raises(SpecError, match=r"child\.toml extends itself, by way of .*child\.toml and .*middle\.toml and"):
        load_spec(family / "child.toml")


def test_fault_in_a_parent_is_placed_there(family: Path) -> None:
    (family / "middle.toml").write_text('extends = "base/root.toml"\n[train]\nepoch = 1\n')
    with pytest.raises(SpecError) as caught:
        load_spec(family / "child.toml")
    (problem,) = caught.value.problems
    assert (problem.origin, problem.line) == (str(family / "middle.toml"), 3)


def test_a_discarded_value_is_nobodys_origin(family: Path) -> None:
    (family / "middle.toml").write_text('extends = "base/root.toml"\n[method.twin]\nuse = "pair"\n')
    spec = load_spec(family / "child.toml")
    assert spec.method[0].options.temperature == 0.1
    assert spec.sources.origin(("method", "pair", "temperature")) == "default"
