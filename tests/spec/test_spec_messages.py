"""Every message, as a person reads it: a folder of bad specs with the expected text beside each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from plugin_factory import make_plugin

from deeplense_registry.spec import SpecError, expand, load_spec, structure_options
from deeplense_registry.spec.tables import TrainTable
from tests.spec.messages import neutral

BAD = Path(__file__).parent / "bad"
GOOD = "[dataset.sky]\n[method.pair]\n[backbone.net]\n[train]\nbatch_size = 20\n"

pytestmark = pytest.mark.usefixtures("toy_plugins")


@pytest.mark.parametrize("name", sorted(path.stem for path in BAD.glob("*.toml")))
def test_message(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD)
    with pytest.raises(SpecError) as caught:
        load_spec(Path(f"{name}.toml"))
    assert neutral(str(caught.value)) + "\n" == (BAD / f"{name}.txt").read_text()


def complaint(folder: Path, text: str | bytes, *overrides: str) -> SpecError:
    path = folder / "spec.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SpecError) as caught:
        load_spec(path, overrides)
    return caught.value


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"nowhere\.toml\n      \| cannot read this spec: No such file"):
        load_spec(tmp_path / "nowhere.toml")


def test_folder_for_a_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="Is a directory"):
        load_spec(tmp_path)


def test_other_encoding(tmp_path: Path) -> None:
    assert "it is not UTF-8 text" in str(complaint(tmp_path, b"# caf\xe9"))


def test_empty_file_lacks_every_required_kind(tmp_path: Path) -> None:
    assert [problem.path for problem in complaint(tmp_path, "").problems] == ["dataset", "method", "backbone"]


def test_override_is_named_as_the_origin(tmp_path: Path) -> None:
    error = complaint(tmp_path, GOOD, "train.epochs=soon", "method.pair.scale=[0.5, true]")
    assert str(error) == (
        "--set train.epochs=soon: train.epochs\n"
        '      | expected an integer, got the string "soon"\n'
        "--set method.pair.scale=[0.5, true]: method.pair.scale[1]\n"
        "      | expected a number, got the boolean true\n"
        "2 errors"
    )


@pytest.mark.parametrize("text", ["train.epochs", "=3", "[train]=3", "a b=3"])
def test_override_of_no_form(tmp_path: Path, text: str) -> None:
    assert str(complaint(tmp_path, GOOD, text)).startswith(f"--set {text}\n      | write --set KEY=VALUE")


def test_problems_for_tools(tmp_path: Path) -> None:
    (problem,) = complaint(tmp_path, GOOD + "epochs = 0\n").problems
    assert problem.as_json() == {
        "origin": str(tmp_path / "spec.toml"),
        "line": 6,
        "column": 10,
        "path": "train.epochs",
        "text": "'epochs' must be >= 1: 0",
    }
    (problem,) = complaint(tmp_path, GOOD, "train.epochs=0").problems
    assert (problem.as_json()["line"], problem.as_json()["column"]) == (None, None)


def test_carets_stand_below_a_line_with_tabs(tmp_path: Path) -> None:
    text = str(complaint(tmp_path, GOOD + "\t\tepochs\t= 0\n")).splitlines()
    assert text[1][text[2].index("^")] == "0"


def test_windows_line_ends(tmp_path: Path) -> None:
    (problem,) = complaint(tmp_path, GOOD.replace("\n", "\r\n") + "epochs = 0\r\n").problems
    assert (problem.line, problem.source) == (6, "epochs = 0")


def test_broken_plugin_shows_its_traceback(tmp_path: Path, plugin_folder: Path) -> None:
    make_plugin(plugin_folder, "faulty", "method", options="raise RuntimeError('no such luck')")
    text = str(complaint(tmp_path, GOOD.replace("pair", "faulty")))
    assert "[method.faulty]" in text
    assert "      | RuntimeError: no such luck" in text


def test_options_must_be_an_attrs_class(tmp_path: Path, plugin_folder: Path) -> None:
    make_plugin(plugin_folder, "plain", "method", options="class Options: ...")
    assert "are no attrs class" in str(complaint(tmp_path, GOOD.replace("pair", "plain")))


def test_name_claimed_twice_is_settled_by_use(tmp_path: Path, plugin_folder: Path) -> None:
    make_plugin(plugin_folder, "pair", "method", distribution="other-pair")
    assert "is claimed by fake-pair 0.1 and other-pair 0.1" in str(complaint(tmp_path, GOOD))
    path = tmp_path / "spec.toml"
    path.write_text(GOOD.replace("[method.pair]", '[method.pair]\nuse = "other-pair:pair"\nstrength = 2'))
    assert load_spec(path).method[0].options.strength == 2.0


def test_facts_that_refuse(tmp_path: Path, plugin_folder: Path) -> None:
    refuses = """
        @frozen
        class Options:
            def facts(self):
                raise ValueError("the archive is not here")
    """
    make_plugin(plugin_folder, "gone", "dataset", options=refuses)
    (problem,) = complaint(tmp_path, GOOD.replace("sky", "gone")).problems
    assert (problem.path, problem.text) == ("dataset.gone", "the archive is not here")


def test_expand_refuses_what_load_refuses(tmp_path: Path) -> None:
    from attrs import evolve

    path = tmp_path / "spec.toml"
    path.write_text(GOOD)
    spec = load_spec(path)
    with pytest.raises(SpecError, match="two runs would be called"):
        expand(evolve(spec, run=evolve(spec.run, seeds=(1, 1))))


def test_options_from_python() -> None:
    assert structure_options(TrainTable, {"epochs": 3}).epochs == 3
    with pytest.raises(
        SpecError, match=r'backbone.x: epoch\n      \| unknown option of backbone.x; did you mean "epochs"'
    ):
        structure_options(TrainTable, {"epoch": 3}, "backbone.x")


def test_json_is_json(tmp_path: Path) -> None:
    problems = complaint(tmp_path, GOOD + "epochs = 2026-01-01\n").problems
    assert "date or time" in json.dumps([problem.as_json() for problem in problems])
