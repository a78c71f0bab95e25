"""The data of the examples in ``specs/``: in the layouts they say, and what their script makes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeplense_registry.cli import main
from deeplense_registry.shards import ShardSet, materialise
from deeplense_registry.spec import expand, load_spec

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "specs" / "data" / "make.py"
PATHS = {"archives": "model-1.tgz", "surveys": "sdss.h5", "shards": "lenses"}
TABLES = {"archives": "model-1", "surveys": "sdss", "shards": "others"}


@pytest.fixture(autouse=True)
def _at_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the specs are run; with a cache of its own."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("DEEPLENSE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def make() -> Any:
    """The script, imported."""
    spec = importlib.util.spec_from_file_location("make_example_data", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shards(name: str, *overrides: str) -> ShardSet:
    (cell,) = expand(load_spec(Path(f"specs/data-{name}.toml"), overrides))
    return ShardSet.open(materialise(cell.dataset, processes=1))


@pytest.mark.parametrize("name", PATHS)
def test_the_spec_is_right_before_and_after_the_data_are_read(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert main(["check", f"specs/data-{name}.toml"]) == 0
        assert "right: 1 run" in capsys.readouterr().out
        shards(name)


def test_the_archive_has_the_published_layout() -> None:
    data = shards("archives")
    assert {split: data.count(split) for split in data.card.splits} == {"train": 144, "val": 36, "test": 90}
    assert data.card.targets["class"].classes == ("axion", "cdm", "no_sub")
    assert data.names("train")[0].startswith("Model_I/")
    for split in data.card.splits:
        classes, masses = data.targets(split, "class"), data.targets(split, "log10_axion_mass")
        assert len(set(np.bincount(classes))) == 1  # as many of each
        np.testing.assert_array_equal(np.isfinite(masses), classes == 0)
        assert ((masses[classes == 0] >= -24) & (masses[classes == 0] <= -22)).all()
        images = data.images(split, np.arange(data.count(split)))
        np.testing.assert_array_equal(images, images.round())  # counts
        assert images.min() >= 0


def test_the_stack_has_redshifts_that_colours_tell() -> None:
    data = shards("surveys")
    assert {split: data.count(split) for split in data.card.splits} == {"train": 144, "val": 36, "test": 60}
    flux = data.images("train", np.arange(144)).sum((2, 3))  # (N, C)
    colour = np.log(flux[:, 4] / flux[:, 0])
    assert np.corrcoef(colour, data.targets("train", "specz_redshift"))[0, 1] > 0.95
    assert set(np.isfinite(data.meta("train", "ebv"))) == {True}


def test_the_tars_are_indexed_in_place() -> None:
    data = shards("shards")
    assert {split: data.count(split) for split in data.card.splits} == {"train": 120, "val": 60, "test": 60}
    assert (data.folder / "train-000000.tar").readlink() == ROOT / "specs" / "data" / "lenses" / "train-000000.tar"
    assert data.card.targets["class"].classes == ("axion", "cdm", "no_sub")
    assert np.bincount(data.targets("test", "class")).tolist() == [20, 20, 20]
    assert data.targets("train", "einstein_radius").std() > 0.1


def test_the_script_makes_what_is_there(make: Any, tmp_path: Path) -> None:
    """The same bytes twice; of those in the repository the numbers, since a compressor may differ by version."""
    for number in range(2):
        make.main(tmp_path / str(number))
    files = [path.relative_to(tmp_path / "0") for path in (tmp_path / "0").rglob("*") if path.is_file()]
    assert len(files) == 6
    for file in files:
        assert (tmp_path / "0" / file).read_bytes() == (tmp_path / "1" / file).read_bytes()
        assert (SCRIPT.parent / file).is_file()
    for name, path in PATHS.items():
        fresh, kept = shards(name, f'dataset.{TABLES[name]}.path="{tmp_path}/0/{path}"'), shards(name)
        for split in kept.card.splits:
            rows = np.arange(kept.count(split))
            assert fresh.names(split).tolist() == kept.names(split).tolist()
            for target in kept.card.targets:
                np.testing.assert_allclose(fresh.targets(split, target), kept.targets(split, target), rtol=1e-6)
            new, old = (data.images(split, rows).mean((1, 2, 3), np.float64) for data in (fresh, kept))
            np.testing.assert_allclose(new, old, rtol=0.02, atol=0.02)  # other arithmetic, other rounding and counts


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in SCRIPT.parent.rglob("*") if path.is_file()) < 3_000_000
