"""A finished run is put to use from the command line, in real processes; the page about it is run as it stands."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PAGE = Path(__file__).parents[2] / "docs" / "using.md"
RUN = Path("runs") / "quickstart" / "simclr-levit"


@pytest.fixture(scope="module")
def place(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder as the page has it: a run, and images in ``stack.npy``."""
    folder = tmp_path_factory.mktemp("place")
    shutil.copytree(finished, folder / RUN)
    np.save(folder / "stack.npy", np.random.default_rng(0).normal(0, 0.1, (12, 1, 32, 32)))
    return folder


@pytest.fixture(scope="module")
def walked(place: Path, environment: dict[str, str]) -> dict[str, str]:
    """What each code block of the page printed, by its text; run from top to bottom."""
    said = {}
    for language, text in re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(), re.DOTALL):
        for command in text.splitlines() if language == "bash" else [text]:
            words = ["-m", "deeplense_registry", *command.split()[1:]] if language == "bash" else ["-c", command]
            done = subprocess.run([sys.executable, *words], cwd=place, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, command + done.stdout + done.stderr
            said[command.strip()] = done.stdout
    return said


def only(said: dict[str, str], part: str) -> str:
    (found,) = (text for command, text in said.items() if part in command)
    return found


def test_embeddings_are_those_of_the_evaluation(walked: dict[str, str], place: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(place / "train.parquet")
    vectors = np.array(table["embeddings"].to_pylist(), np.float32)
    (kept,) = (place / RUN / "embeddings" / "trained").glob("train-*.npy")
    np.testing.assert_array_equal(vectors, np.load(kept))  # to the last bit
    assert len(set(table["keys"].to_pylist())) == 192


def test_an_export_embeds_alike(walked: dict[str, str], place: Path) -> None:
    with np.load(place / "stack.npz") as one, np.load(place / "again.npz") as other:
        assert one["keys"].tolist() == other["keys"].tolist() == [f"stack-{n:06d}" for n in range(12)]
        np.testing.assert_allclose(one["embeddings"], other["embeddings"], rtol=1e-4, atol=1e-5)
    card = json.loads((place / "lens-encoder" / "card.json").read_text())
    assert list(card["plugins"]) == ["deeplense-levit"]
    assert {row["encoder"] for row in card["measurements"]} == {"trained", "untrained"}
    page = (place / "lens-encoder" / "README.md").read_text()
    assert re.search(r"\| knn \| class \| auroc \| 30 \| 0\.\d+ \(.* to .*\) \| 0\.\d+ \(", page)


def test_search_finds_others(walked: dict[str, str], place: Path) -> None:
    among = only(walked, "--among")
    assert len(re.findall(r"stack-0000\d\d", among)) == 8
    assert len(re.findall(r"train-\d+", among)) == 8 * 5
    found = only(walked, "--gallery")
    rows = [re.findall(r"test-\d+", line) for line in found.splitlines() if "test-" in line]
    assert len(rows) == 8
    assert all(len(set(row)) == 9 for row in rows)  # the query and eight others
    with Image.open(place / "gallery.png") as picture:
        assert picture.mode == "RGB"
        assert picture.width > 9 * 128


def test_predictions_tell_what_they_rest_on(walked: dict[str, str], place: Path) -> None:
    shown = only(walked, "--target class")
    assert "p(no_sub)" in shown
    assert re.search(r"class: learned on 192 labelled training images; accuracy 0\.\d+ on 24 validation images", shown)
    told = only(walked, "radii.csv")
    assert re.search(r"R2 -?\d\.\d+ on 24 validation images, 95 % of them within \S+ arcsec", told)
    with (place / "radii.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    for row in rows:
        assert float(row["low"]) < float(row["einstein_radius [arcsec]"]) < float(row["high"])
        assert 0.0 <= float(row["trust"]) <= 0.1  # noise is no lens


REFUSED = [
    ("predict lens-encoder stack.npy", "an encoder without its run; predict learns from the run's labelled data"),
    ("search lens-encoder stack.npy", "an encoder without images of its own; say --among which images to search"),
    (f"search {RUN} stack.npy -k 0", "-k 0: give 1 or more"),
    (f"search {RUN} stack.npy --first 0", "--first 0: give 1 or more"),
    (f"search {RUN} stack.npy -k 49", "49 neighbours are asked for among 48 images; ask for 1 to 48"),
    (f"search {RUN} stack.npy --among stack.npz --gallery g.png", "embeddings have no pixels to draw"),
    (f"embed {RUN} stack.npy -o out.csv", "out.csv: embeddings are written as .npz or .parquet"),
    (f"embed {RUN} nowhere -o out.npz", "nowhere: no such file or folder; give a run's folder"),
    ("embed nowhere stack.npy -o out.npz", "nowhere: no encoder here; give the folder of a finished run"),
    (f"predict {RUN} stack.npy --target mass", "has no target 'mass'; its targets: 'class', "),
    (f"export {RUN} -o lens-encoder", "lens-encoder: is there already; give a new folder"),
    ("export lens-encoder -o other", "lens-encoder: no run here; give the folder of a run"),
]


@pytest.mark.parametrize(("command", "message"), REFUSED)
def test_mistakes_end_with_a_message(
    walked: dict[str, str],
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    environment: dict[str, str],
    command: str,
    message: str,
) -> None:
    from deeplense_registry.cli import main

    monkeypatch.chdir(place)
    monkeypatch.setenv("DEEPLENSE_CACHE", environment["DEEPLENSE_CACHE"])
    assert main(command.split()) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert not (place / "out.npz").exists()


def test_many_predictions_are_cut_off_on_the_terminal(walked: dict[str, str], deeplense, place: Path) -> None:
    said = deeplense("predict", place / RUN, place / RUN).stdout
    assert "... and 28 more; -o FILE.csv writes them all" in said
    assert len(re.findall(r"test-\d+", said)) == 20
