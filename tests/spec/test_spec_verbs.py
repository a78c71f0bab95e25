"""``check``, ``spec show`` and ``schema`` as a person calls them."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from deeplense_registry.cli import check, schema, spec
from deeplense_registry.components import DatasetCard, ImageShape, UserError
from deeplense_registry.shards import Manifest, Statistics
from deeplense_registry.spec import SpecError

ONE = '[run]\nname = "mine"\n[dataset.sky]\n[method.pair]\n[backbone.net]\n[train]\nbatch_size = 20\n'

pytestmark = pytest.mark.usefixtures("toy_plugins")


def call(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers()
    for verb in (check, spec, schema):
        verb.add(verbs)
    parsed = parser.parse_args([str(one) for one in arguments])
    code: int = parsed.call(parsed)
    return code


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "spec.toml"
    path.write_text(ONE)
    return path


def test_check_says_what_would_run(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("check", path) == 0
    assert capsys.readouterr().out == f"{path}: right: 1 run of 100 steps on 100 training images\n"
    assert call("check", path, "--set", "run.seeds=[0, 1]", "--set", "dataset.more={use = 'sky', images = 40}") == 0
    assert capsys.readouterr().out == f"{path}: right: 4 runs of 40 to 100 steps on 40 to 100 training images\n"
    assert call("check", path, "--set", "dataset.sky.images=0") == 0
    assert "images and steps are known when the data are" in capsys.readouterr().out
    assert call("check", path, "--set", "dataset.more={use = 'sky', images = 0}") == 0
    assert "(unknown yet for 1)" in capsys.readouterr().out


def test_check_for_tools(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("check", path, "--format", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["problems"] == []
    assert [(cell["name"], cell["images"], cell["steps"]) for cell in told["cells"]] == [("pair-net", 100, 100)]
    assert call("check", path, "--format", "json", "--set", "train.epochs=0") == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["cells"], told["problems"][0]["path"]) == ([], "train.epochs")


def test_check_raises_for_people(path: Path) -> None:
    with pytest.raises(SpecError, match=r"1 error$"):
        call("check", path, "--set", "train.epochs=0")


def publish(folder: Path) -> None:
    shape = ImageShape(1, 32, 32)
    card = DatasetCard(name="x", shape=shape, bands=("r",), pixel_scale=0.1, targets={}, splits={"train": 0})
    numbers = Statistics(split="train", mean=(0.0,), std=(1.0,), min=(0.0,), max=(1.0,))
    folder.mkdir()
    Manifest(
        digest="0", card=card, dtype="float32", image_shape=(1, 32, 32), splits={"train": ()}, statistics=numbers
    ).publish(folder)


def test_check_reads_the_manifest_of_shards(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(tmp_path / "shards")
    path.write_text(ONE.replace("[dataset.sky]", f'[dataset.mine]\nuse = "shards"\npath = "{tmp_path / "shards"}"'))
    with pytest.raises(SpecError, match="20 is more than the 0 training images"):
        call("check", path)
    with pytest.raises(UserError, match="nowhere is no folder"):
        call("check", path, "--set", "dataset.mine.path=nowhere")
    assert call("check", path, "--set", "dataset.mine.path=s3://b/x") == 0
    assert "known when the data are" in capsys.readouterr().out


def test_show_is_a_spec_with_origins(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = '[method.twin]\nuse = "pair"\nqueue = 20\n[[exclude]]\nmethod = "twin"\n'
    path.write_text(ONE + more)
    assert call("spec", "show", path, "--set", "train.epochs=3", "--set", "method.pair.temperature=0.3") == 0
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert f'name = "mine"  # {path}:2' in lines
    assert "epochs = 3  # --set train.epochs=3" in lines
    assert 'use = "pair"  # default' in lines
    assert f'use = "pair"  # {path}:9' in lines
    assert "scale = [0.5, 1.0]  # default" in lines
    assert f'method = "twin"  # {path}:12' in lines
    assert "[backbone.net.head]" in lines
    assert lines[-1].startswith("# pair-net  ")
    path.write_text(shown)
    assert call("spec", "show", path) == 0
    again = capsys.readouterr().out
    assert tomllib.loads(again) == tomllib.loads(shown)
    assert again.splitlines()[-1] == lines[-1]


def test_show_writes_tables_inside_arrays_and_odd_keys() -> None:
    from deeplense_registry.spec.write import _inline, _keys

    value = {"a b": [1, {"c": "x"}]}
    assert tomllib.loads(f"{_keys(('x', 'y z'))} = {_inline(value)}") == {"x": {"y z": value}}


def test_schema_to_a_file_or_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("schema") == 0
    printed = json.loads(capsys.readouterr().out)
    assert call("schema", "-o", tmp_path / ".schema.json") == 0
    assert json.loads((tmp_path / ".schema.json").read_text()) == printed
    options = printed["properties"]["method"]["properties"]["pair"]
    assert options["description"] == "A made-up method."
    assert options["properties"]["temperature"]["exclusiveMinimum"] == 0.0


@pytest.mark.parametrize("command", [["check"], ["spec", "show"]])
def test_no_torch(path: Path, toy_plugins: Path, command: list[str]) -> None:
    program = """
import argparse, sys
sys.path.insert(0, sys.argv[1])
from deeplense_registry.cli import check, schema, spec
parser = argparse.ArgumentParser()
verbs = parser.add_subparsers()
for verb in (check, spec, schema):
    verb.add(verbs)
assert "cattrs" not in sys.modules
for line in (sys.argv[2:], ["schema"]):
    parsed = parser.parse_args(line)
    assert parsed.call(parsed) == 0
assert "torch" not in sys.modules
"""
    arguments: list[Any] = [sys.executable, "-c", program, toy_plugins, *command, path]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
