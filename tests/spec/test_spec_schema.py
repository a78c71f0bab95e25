"""The JSON schema held against the loader, by tombi: both refuse what a schema can express, both take what is good."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from attrs import Factory, field, frozen, validators
from plugin_factory import make_plugin

from deeplense_registry.components import option
from deeplense_registry.spec import json_schema, load_spec
from deeplense_registry.spec.schema import class_schema

BAD = Path(__file__).parent / "bad"
BEYOND = {
    "batch-above-images",
    "budget-above-images",
    "budget-zero",
    "cells-of-one-name",
    "exclude-everything",
    "exclude-no-match",
    "exclude-nothing",
    "image-too-small",
    "instance-name",
    "kind-missing",
    "micro-batch",
    "micro-batch-of-one",
    "paper-bands",
    "parent-circle",
    "parent-missing",
    "plugin-missing-by-use",
    "processes",
    "processes-of-one-micro-batch",
    "queue",
    "range-disordered",
    "seeds-repeated",
    "shards-empty",
    "shards-pipe",
    "shards-scheme",
    "shards-without-path",
    "skew-classes",
    "skew-conflict",
    "skew-nothing",
    "skew-parameter",
    "skew-quantity",
    "skew-target",
    "skew-without-target",
}
"""Bad specs that no schema can refuse: they concern several keys, several files, installed plugins or the data."""

HEAD = "#:schema ./.schema.json\n"
CORE = "[dataset.sky]\n[method.pair]\n[backbone.net]\n[train]\nbatch_size = 20\n"
GOOD = [
    CORE,
    'dataset.sky = { images = 200 }\nmethod.mine = { use = "pair", queue = 128 }\nbackbone.net = {}\ntrain.epochs = 5',
    '[dataset.x]\nuse = "shards"\npath = "s3://b/x"\n[method.pair]\nuse = "fake-pair:pair"\n[backbone.net]\n',
    CORE + '[labels]\nbudgets = [1, "all"]\n[evaluate.score]\ntargets = ["a", "b"]\n[evaluate.other]\nuse = "score"\n',
    CORE + '[method.twin]\nuse = "pair"\n[[exclude]]\nmethod = "twin"\nseed = 0\n[views]\nzoom = [1, 1.5]\nshift = 0\n',
    CORE.replace("[train]", '[backbone.net.head]\nact = "gelu"\n[train]\nlearning_rate = 1\nprecision = "fp32"'),
    CORE + '[skew]\ntarget = "class"\nratio = { none = 1, sphere = 0.05 }\n[labels]\nindex = "splits"\n',
    CORE + '[skew]\ntarget = "class"\non = "labels"\nimbalance = 100\nseed = 3\n',
]


@pytest.fixture
def lint(tmp_path: Path, toy_plugins: Path) -> Path:
    (tmp_path / ".schema.json").write_text(json.dumps(json_schema()))
    return tmp_path


def accepts(path: Path) -> bool:
    tombi = Path(sys.executable).with_name("tombi")
    done = subprocess.run([tombi, "lint", "--offline", path], capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    return done.returncode == 0


def test_schema_and_loader_refuse_the_same(lint: Path) -> None:
    names = sorted(path.stem for path in BAD.glob("*.toml"))
    for name in names:
        shutil.copy(BAD / f"{name}.toml", lint)
    assert {name for name in names if accepts(lint / f"{name}.toml")} == BEYOND


@pytest.mark.parametrize("text", GOOD)
def test_schema_and_loader_accept_the_same(lint: Path, text: str) -> None:
    path = lint / "good.toml"
    path.write_text(HEAD + text)
    load_spec(path)
    assert accepts(path)


def test_a_child_may_leave_to_its_parent_what_is_required(lint: Path) -> None:
    (lint / "base.toml").write_text(CORE)
    path = lint / "child.toml"
    path.write_text(HEAD + 'extends = "base.toml"\n[train]\nepochs = 2\n')
    load_spec(path)
    assert accepts(path)


def test_unusable_plugins_are_left_to_use(toy_plugins: Path) -> None:
    make_plugin(toy_plugins, "broken", "method", light="raise ImportError")
    make_plugin(toy_plugins, "hollow", "method", options="raise ImportError")
    make_plugin(toy_plugins, "plain", "method", options="class Options: ...")
    make_plugin(toy_plugins, "old", "method", api=0)
    make_plugin(toy_plugins, "pair", "method", distribution="other-pair")
    known = json_schema()["properties"]["method"]["properties"]
    assert not known.keys() & {"broken", "hollow", "plain", "old", "pair"}


@frozen
class Nested:
    depth: int = option("How deep.", 1, validators.and_(validators.ge(1), validators.lt(9)))


@frozen
class Fields:
    word: str = option("A word.", "ab", validators.min_len(1), validators.max_len(3), validators.matches_re("[a-z]+"))
    pick: int = option("One of.", 1, validators.in_([1, 2]))
    ratio: float | None = option("A ratio.", None, validators.optional([validators.gt(0.0), validators.le(1.0)]))
    sizes: tuple[int, ...] = option("Sizes.", (1,), validators.deep_iterable(validators.ge(1), validators.max_len(2)))
    pair: tuple[int, int] = option("Two.", (1, 2), validators.deep_iterable(validators.ge(0)))
    names: dict[str, bool] = option("By name.", None, validators.min_len(1), factory=dict)
    nested: Nested = option("A table.", Nested())
    rows: list[Nested] = option("Tables.", factory=list)
    free: Any = option("Anything.", None, validators.instance_of(object))
    loose: tuple = option("Anything.", (), validators.deep_iterable(validators.ge(0)))  # type: ignore[type-arg]
    own: Any = field(default=Factory(lambda self: self.word, takes_self=True), validator=validators.min_len(1))
    hidden: int = field(default=3, init=False)


def test_types_and_bounds() -> None:
    schema = class_schema(Fields)
    nested = {
        "type": "object",
        "properties": {
            "depth": {"type": "integer", "minimum": 1, "exclusiveMaximum": 9, "description": "How deep.", "default": 1}
        },
        "additionalProperties": False,
    }
    assert schema["additionalProperties"] is False
    assert schema["properties"] == {
        "word": {
            "type": "string",
            "minLength": 1,
            "maxLength": 3,
            "pattern": "^(?:[a-z]+)$",
            "description": "A word.",
            "default": "ab",
        },
        "pick": {"type": "integer", "enum": [1, 2], "description": "One of.", "default": 1},
        "ratio": {"type": "number", "exclusiveMinimum": 0.0, "maximum": 1.0, "description": "A ratio."},
        "sizes": {
            "type": "array",
            "items": {"type": "integer", "minimum": 1},
            "maxItems": 2,
            "description": "Sizes.",
            "default": [1],
        },
        "pair": {
            "type": "array",
            "items": [{"type": "integer", "minimum": 0}, {"type": "integer", "minimum": 0}],
            "minItems": 2,
            "maxItems": 2,
            "description": "Two.",
            "default": [1, 2],
        },
        "names": {
            "type": "object",
            "additionalProperties": {"type": "boolean"},
            "minProperties": 1,
            "description": "By name.",
            "default": {},
        },
        "nested": {**nested, "description": "A table.", "default": {"depth": 1}},
        "rows": {"type": "array", "items": nested, "description": "Tables.", "default": []},
        "free": {"description": "Anything."},
        "loose": {"type": "array", "items": {"minimum": 0}, "description": "Anything.", "default": []},
        "own": {},
    }
