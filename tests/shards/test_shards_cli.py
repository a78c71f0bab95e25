"""From a spec to shards: an installed plugin, the cache, and the three verbs."""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import webdataset

from deeplense_registry.cli import shards as verb
from deeplense_registry.components import UserError, find, load_options
from deeplense_registry.shards import ShardSet, cache_root, dataset_source, materialise, shards_folder
from deeplense_registry.spec import Instance, ShardsOptions

LIGHT = """
from deeplense_registry import Component, hookimpl

@hookimpl
def deeplense_components():
    for kind, name in (("dataset", "dots"), ("method", "guess"), ("backbone", "flat")):
        paths = {"factory": "dots_source:DotsSource", "options": "dots_parts:" + name.title()}
        yield Component(kind=kind, name=name, api=1, summary="A toy.", **paths)
"""
PARTS = """
from attrs import frozen
from deeplense_registry import option

@frozen
class Dots:
    images: int = option("Training images.", 6)

@frozen
class Guess:
    pass

@frozen
class Flat:
    pass
"""
SOURCE = """
import numpy as np
from deeplense_registry import Dataset, DatasetCard, ImageShape, Sample, Target

class DotsSource(Dataset):
    def card(self):
        splits = {"train": self.options.images, "test": 3}
        targets = {"class": Target(classes=("a", "b")), "mass": Target(unit="solMass"), "ratio": Target()}
        return DatasetCard(name="dots", shape=ImageShape(1, 4, 4), bands=("i",), pixel_scale=0.5, targets=targets,
                           splits=splits, licence="CC0")

    def samples(self, split, part, parts):
        for number in range(self.card().splits[split]):
            yield Sample(name=str(number), image=np.arange(number, number + 16, dtype=np.float32).reshape(1, 4, 4))
"""
ENTRY = "".join(
    f"[deeplense.{kind}s]\n{name} = dots_light\n"
    for kind, name in (("dataset", "dots"), ("method", "guess"), ("backbone", "flat"))
)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution on the path, and a cache of its own."""
    site = tmp_path / "site"
    info = site / "toy_dots-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-dots\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(ENTRY)
    for name, text in (("dots_light", LIGHT), ("dots_parts", PARTS), ("dots_source", SOURCE)):
        (site / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("DEEPLENSE_CACHE", str(tmp_path / "cache"))
    return site


def dots(**table: int) -> Instance:
    row = find("dataset", "dots")
    return Instance(name="mine", use="dots", row=row, options=load_options(row)(**table))


def call(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    verb.add(parser.add_subparsers())
    parsed = parser.parse_args(["shards", *arguments])
    code: int = parsed.call(parsed)
    return code


def test_a_dataset_is_built_once_into_the_cache(site: Path, tmp_path: Path) -> None:
    folder = materialise(dots(), processes=1)
    assert folder.parent == tmp_path / "cache" / "shards"
    assert folder.name.startswith("dots-")
    assert len(folder.name) == len("dots-") + 16
    assert ShardSet.open(folder).count("train") == 6
    (site / "dots_source.py").unlink()
    sys.modules.pop("dots_source")
    assert materialise(dots(), processes=1) == folder  # without the plugin's code
    assert materialise(dots(images=6), processes=1) == folder


def test_options_version_and_type_name_the_folder(site: Path) -> None:
    folders = {materialise(dots(), processes=1), materialise(dots(images=7), processes=1)}
    folders.add(materialise(dots(), processes=1, dtype="float16"))
    (site / "toy_dots-1.2.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-dots\nVersion: 1.3\n")
    folders.add(materialise(dots(), processes=1))
    assert len(folders) == 4


def test_a_plugin_source_opens_in_other_processes(site: Path, tmp_path: Path) -> None:
    folder = materialise(dots(), processes=2, folder=tmp_path / "here")
    assert folder == tmp_path / "here"
    images = ShardSet.open(folder).images("test", np.array([2]))
    np.testing.assert_array_equal(images.reshape(16), np.arange(2, 18))
    assert dataset_source(dots())().card().name == "dots"


def test_shards_that_exist_are_taken_as_they_are(site: Path, tmp_path: Path) -> None:
    folder = materialise(dots(), processes=1)
    assert (
        materialise(Instance(name="x", use="shards", row=None, options=ShardsOptions(path=str(folder))), processes=1)
        == folder
    )
    with pytest.raises(UserError, match="is no folder; give the folder that `deeplense shards build` wrote"):
        materialise(
            Instance(name="x", use="shards", row=None, options=ShardsOptions(path=str(tmp_path / "no"))), processes=1
        )


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DEEPLENSE_CACHE", str(tmp_path / "own"))
    assert cache_root() == tmp_path / "own"
    monkeypatch.delenv("DEEPLENSE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "shared"))
    assert cache_root() == tmp_path / "shared" / "deeplense"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_root() == tmp_path / ".cache" / "deeplense"
    assert shards_folder("0123456789abcdefgh", "a b/c").relative_to(cache_root()) == Path(
        "shards/a-b-c-0123456789abcdef"
    )


SPEC = "[dataset.dots]\n[method.guess]\n[backbone.flat]\n"


def test_build_info_verify(site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec, out = tmp_path / "toy.toml", tmp_path / "out"
    spec.write_text(SPEC)
    assert call("build", str(spec), "--out", str(out), "--set", "dataset.dots.images=5") == 0
    printed = capsys.readouterr()
    assert printed.out == f"{out}\n"
    assert printed.err == "dots: 8 of 8 samples\n"
    assert call("info", str(out)) == 0
    facts = [line.split(None, 1) for line in capsys.readouterr().out.splitlines()]
    assert ["name", "dots"] in facts
    assert ["image", "1 x 4 x 4 float32"] in facts
    assert ["train", "5 images in 1 shards, 0.0 MiB"] in facts
    assert [value for name, value in facts if name == "target"] == ["class: a, b", "mass: solMass", "ratio: a number"]
    assert ["statistics", "train i: mean 9.5, std 4.82183, 0 to 19"] in facts
    assert ["licence", "CC0"] in facts
    assert call("verify", str(out)) == 0
    assert capsys.readouterr().out == f"{out}: 2 shards, all as they were written\n"
    tar = out / "train-000000.tar"
    tar.write_bytes(tar.read_bytes()[:-1])
    assert call("verify", str(out)) == 2
    assert f"{tar} is truncated" in capsys.readouterr().out


def test_several_datasets_get_a_folder_each(site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec, out = tmp_path / "toy.toml", tmp_path / "out"
    spec.write_text(SPEC + '[dataset.more]\nuse = "dots"\nimages = 9\n')
    assert call("build", str(spec), "--out", str(out)) == 0
    assert capsys.readouterr().out.splitlines() == [str(out / "dots"), str(out / "more")]
    with pytest.raises(UserError, match="--processes 0: give 1 or more"):
        call("build", str(spec), "--processes", "0")


def test_tars_of_others_are_rewritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with webdataset.TarWriter(str(tmp_path / "sky.tar")) as writer:
        for number in range(4):
            pixels = np.arange(number, number + 32, dtype=np.float32).reshape(2, 4, 4)
            writer.write({"__key__": str(number), "npy": pixels, "cls": number % 2})
    out = str(tmp_path / "out")
    told = ("--pixel-scale", "0.1", "--bands", "g,r", "--classes", "no,yes")
    assert call("build", "--from", str(tmp_path / "sky.tar"), "--out", out, *told) == 0
    assert capsys.readouterr().out == f"{out}\n"
    shards = ShardSet.open(out)
    assert (shards.card.bands, shards.card.targets["class"].classes) == (("g", "r"), ("no", "yes"))
    assert not (tmp_path / "out" / "train-000000.tar").is_symlink()
    assert call("build", "--from", str(tmp_path / "sky.tar"), "--out", out, *told) == 0  # done already


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give a spec, or --from TARS with --out DIR"),
        (("x.toml", "--from", "x", "--out", "y"), "give a spec, or --from TARS with --out DIR"),
        (("--from", "x"), "--from x: say where to with --out DIR"),
        (("--from", "pipe:x", "--out", "y"), '--from pipe:x: "pipe:x" is a command, not data'),
        (("--from", "x", "--out", "y", "--pixel-scale", "-1"), "--from x: 'pixel_scale' must be > 0.0: -1.0"),
    ],
)
def test_what_to_build_must_be_clear(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError) as error:
        call("build", *arguments)
    assert str(error.value).startswith(message)


class Terminal(io.StringIO):
    """An error stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tmp_path / "toy.toml"
    spec.write_text(SPEC)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert call("build", str(spec)) == 0
    assert "9/9" in terminal.getvalue()


def test_the_verb_is_light() -> None:
    code = "import sys, deeplense_registry.cli.shards; sys.exit('torch' in sys.modules or 'rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
