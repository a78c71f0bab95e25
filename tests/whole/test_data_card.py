"""``deeplense data card``: numbers that are those of the shards, and a picture of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from deeplense_registry.cli import main
from deeplense_registry.components import UserError
from deeplense_registry.engine import contact_sheet as sheet
from deeplense_registry.shards import ShardSet
from tests.shards.shards_source import Toy, build

SPEC = """\
[dataset.lenses]
size = 16
train = 60
val = 6
test = 9
vary = ["einstein_radius"]

[method.simclr]

[backbone.levit]

[train]
batch_size = 2
"""
SKEW = '\n[skew]\ntarget = "class"\nratio = { axion = 1.0, cdm = 0.5, no_sub = 0.1 }\n'


@pytest.fixture(scope="module")
def lenses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache where the lenses of the spec are built once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def spec(tmp_path: Path, lenses: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPLENSE_CACHE", str(lenses))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "toy.toml"
    path.write_text(SPEC)
    return path


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """Two bands, classes and a quantity that some images lack."""
    build(tmp_path / "toy", Toy({"train": 23, "test": 5}))
    return tmp_path / "toy"


def card(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    assert main(["data", "card", *map(str, words), "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    return dict(one)


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(["data", "card", *map(str, words)]) == 2
    said = capsys.readouterr()
    assert not said.out
    return said.err.strip()


def test_the_numbers_are_those_of_the_shards(toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = card(capsys, toy, "--out", tmp_path / "toy.png")
    shards = ShardSet.open(toy)
    assert found["splits"] == {"train": 23, "test": 5}
    labels, radii = shards.targets("train", "class"), shards.targets("train", "theta_e")
    counts = {name: int((labels == k).sum()) for k, name in enumerate(("none", "ring", "arc"))}
    assert found["targets"]["class"]["splits"]["train"] == {"known": int((labels >= 0).sum()), "counts": counts}
    assert 0 < sum(counts.values()) < 23
    known = radii[np.isfinite(radii)]
    expected = {"known": len(known), "min": known.min(), "median": np.median(known), "max": known.max()}
    assert found["targets"]["theta_e"] == {
        "kind": "quantity",
        "unit": "arcsec",
        "about": "",
        "splits": {"train": expected, "test": found["targets"]["theta_e"]["splits"]["test"]},
    }
    pixels = shards.images("train", np.arange(23)).astype(np.float64)
    green = found["statistics"]["bands"]["g"]
    assert green["mean"] == pytest.approx(pixels[:, 0].mean())
    assert (green["min"], green["max"]) == (pixels[:, 0].min(), pixels[:, 0].max())
    assert found["image"] == {"shape": [2, 8, 8], "dtype": "float32", "partners": 1, "pixel_scale": 0.1}
    assert (found["licence"], found["citation"], found["about"]) == ("CC0", "None 2024", "Noise.")
    assert found["skew"] is None
    assert found["picture"] == str(tmp_path / "toy.png")


def test_a_target_that_no_image_of_a_split_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(tmp_path / "toy", Toy({"train": 9, "test": 1}))  # the first sample lacks both
    targets = card(capsys, tmp_path / "toy", "--no-picture")["targets"]
    assert targets["theta_e"]["splits"]["test"] == {"known": 0, "min": None, "median": None, "max": None}
    assert targets["class"]["splits"]["test"]["known"] == 0
    assert main(["data", "card", str(tmp_path / "toy"), "--no-picture"]) == 0
    assert "theta_e, test" in capsys.readouterr().out


def test_a_spec_is_built_told_and_drawn(spec: Path, lenses: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "card", str(spec)]) == 0
    said = capsys.readouterr()
    assert said.err.endswith("lenses: 75 of 75 samples\n")
    lines = said.out.splitlines()
    assert lines[0] == "lenses/model-1: 1 x 16 x 16 float32, 0.46875 arcsec a pixel"
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert ["class axion", "20", "2", "3"] in cells
    assert ["log10_axion_mass, train", "dex", "20"] in [row[:3] for row in cells]
    assert any(line.startswith("citation: Alexander et al. 2020") for line in lines)
    assert f"shards: {lenses}" in lines[-2]
    assert lines[-1] == "picture: lenses-card.png"
    with Image.open("lenses-card.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 600
        assert len(picture.convert("L").getcolors() or ()) > 50


def test_a_skew_is_told_and_drawn(spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = tmp_path / "plain.png"
    assert main(["data", "card", str(spec), "--out", str(plain)]) == 0
    capsys.readouterr()
    spec.write_text(SPEC + SKEW)
    skew = card(capsys, spec)["skew"]
    assert skew == {
        "target": "class",
        "on": "both",
        "images": 32,
        "known": 32,
        "counts": {"axion": 20, "cdm": 10, "no_sub": 2},
    }
    assert Path("lenses-card.png").read_bytes() != plain.read_bytes()
    assert main(["data", "card", str(spec), "--no-picture"]) == 0
    said = capsys.readouterr().out
    assert "train, skewed (both)" in said
    assert "picture" not in said


def test_a_skewed_quantity_is_told(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec.write_text(SPEC + '\n[skew]\ntarget = "einstein_radius"\non = "labels"\ndistribution = "gap"\n')
    assert main(["data", "card", str(spec), "--no-picture"]) == 0
    said = capsys.readouterr().out
    assert "einstein_radius, train, skewed" in said
    assert "train, skewed (labels)" in said


def test_each_of_several_data_sets_has_its_picture(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = 'use = "lenses"\nrecipe = "varied"\nbands = ["g", "r", "i"]\nsize = 16\ntrain = 9\nval = 3\ntest = 3\n'
    spec.write_text(f"{SPEC}\n[dataset.more]\n{more}")
    assert main(["data", "card", str(spec), "--json", "--out", "pictures/sky.svg"]) == 0
    pictures = [one["picture"] for one in json.loads(capsys.readouterr().out)]
    assert pictures == ["pictures/sky-lenses.svg", "pictures/sky-more.svg"]
    assert all(Path(picture).read_text().startswith("<?xml") for picture in pictures)


def test_a_key_of_the_spec_is_overridden(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert card(capsys, spec, "--no-picture", "--set", "dataset.lenses.train=3")["splits"]["train"] == 3


def test_the_same_shards_give_the_same_picture(toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.png", "b.png", "c.pdf"):
        card(capsys, toy, "--out", tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "c.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("toy", "--set", "run.name=x"), "toy: --set is for specs; shards are as they are"),
        (("pipe:x",), 'pipe:x: "pipe:x" is a command, not data; give the folder or URL of shards'),
        (("nowhere",), "nowhere is no folder; give the folder that `deeplense shards build` wrote"),
        (("toy", "--out", "x.jpeg"), "x.jpeg: no kind of picture; name a file that ends in .png, .pdf, .svg"),
    ],
)
def test_mistakes(
    words: tuple[str, ...],
    message: str,
    toy: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(toy.parent)
    assert refused(capsys, *words) == message


def test_without_matplotlib(toy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    said = refused(capsys, toy)
    assert said == (
        "the picture of a data card needs matplotlib: pip install 'deeplense-registry[plots]'; --no-picture prints the "
        "card alone"
    )
    assert card(capsys, toy, "--no-picture")["picture"] is None


def test_a_place_that_refuses_the_picture(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = toy / "manifest.json" / "x.png"
    said = refused(capsys, toy, "--out", out)
    assert said.startswith(f"{out}: cannot write the picture: ")
    assert said.endswith("; name another place with --out")


def test_examples_are_the_first_of_each_class(toy: Path) -> None:
    shards = ShardSet.open(toy)
    shown = sheet.examples(shards)
    assert list(shown) == ["none", "ring", "arc"]
    labels = shards.targets("train", "class")
    for number, (label, pictures) in enumerate(shown.items()):
        first = np.flatnonzero(labels == number)[: sheet.COLUMNS]
        expected = [sheet.visible(image, shards.card.bands) for image in shards.images("train", first)]
        np.testing.assert_array_equal(pictures, expected, err_msg=label)


def test_partners_follow_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(tmp_path / "pairs", Toy({"train": 40}, partners=2))
    shown = sheet.examples(ShardSet.open(tmp_path / "pairs"))
    assert {np.shape(pictures) for pictures in shown.values()} == {(8, 8, 8)}
    assert card(capsys, tmp_path / "pairs", "--out", tmp_path / "x.png")["image"]["partners"] == 2


def test_a_class_without_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(tmp_path / "pair", Toy({"train": 2}, partners=2))
    build(tmp_path / "few", Toy({"train": 2}))  # the first has no class, the second is a ring
    for partners, folder in ((1, tmp_path / "few"), (2, tmp_path / "pair")):
        assert [len(one) for one in sheet.examples(ShardSet.open(folder)).values()] == [0, partners, 0]
    card(capsys, tmp_path / "few", "--out", tmp_path / "x.png")


def test_images_of_which_nothing_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No target: one row of examples, and no histogram."""
    folder = tmp_path / "toy"
    build(folder, Toy({"train": 9}))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["card"]["targets"] = {}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert {label: len(pictures) for label, pictures in sheet.examples(ShardSet.open(folder)).items()} == {"train": 8}
    card(capsys, folder, "--out", tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.height < picture.width / 2


@given(arrays(np.float32, (2, 6, 6), elements=st.integers(-1000, 1000)))
def test_what_is_shown_lies_between_black_and_white(flux: np.ndarray) -> None:
    shown = sheet.visible(flux, ("g", "r"))
    assert shown.shape == (6, 6)
    assert shown.dtype == np.float32
    assert ((shown >= 0) & (shown <= 1)).all()
    np.testing.assert_array_equal(sheet.visible(2 * flux, ("g", "r")), shown)  # each image has a range of its own


def test_colours() -> None:
    assert sheet.colours(("grey",)) == []
    assert sheet.colours(("g", "r")) == []
    assert sheet.colours(("g", "r", "i")) == [2, 1, 0]
    assert sheet.colours(("u", "g", "r", "i", "z")) == [3, 2, 1]
    assert sheet.colours(("red", "green", "blue")) == [0, 1, 2]
    flux = np.zeros((3, 4, 4), np.float32)
    flux[2, :2] = 1.0  # the reddest band
    np.testing.assert_array_equal(sheet.visible(flux, ("g", "r", "i"))[0, 0], [1, 0, 0])


def test_the_verb_is_light() -> None:
    code = "import sys, deeplense_registry.cli.data; sys.exit(any(m in sys.modules for m in ('torch', 'matplotlib')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_drawing_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="no kind of picture"):
        sheet.check_drawing(Path("card"))
