"""Encoders leave their runs whole, and embeddings their files."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deeplense_registry import PluginError, UserError, load_encoder
from deeplense_registry.engine.use import embeddings_writer, export_encoder, files, open_run, read_embeddings

NAMES = np.array(["a", "an image of a long name", "ü"])
VECTORS = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_embeddings_come_back(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"e{suffix}"
    embeddings_writer(path)(NAMES, VECTORS)
    names, vectors = read_embeddings(path)
    np.testing.assert_array_equal(names, NAMES)
    np.testing.assert_array_equal(vectors, VECTORS)
    assert vectors.dtype == np.float32
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_parquet_is_read_by_others(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    embeddings_writer(tmp_path / "e.parquet")(NAMES, VECTORS)
    table = parquet.read_table(tmp_path / "e.parquet").to_pydict()
    assert table["keys"] == NAMES.tolist()
    np.testing.assert_array_equal(np.array(table["embeddings"], np.float32), VECTORS)


def test_what_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"e.csv: embeddings are written as .npz or .parquet"):
        embeddings_writer(tmp_path / "e.csv")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"e.npz: cannot write"):
        embeddings_writer(tmp_path / "file" / "e.npz")(NAMES, VECTORS)
    monkeypatch.setattr(files, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"Parquet needs pyarrow \(pip install pyarrow\); .npz does not"):
        embeddings_writer(tmp_path / "e.parquet")


def test_a_file_that_holds_no_embeddings(tmp_path: Path) -> None:
    wrong: dict[str, Any] = {
        "absent": None,
        "words": b"words",
        "others": {"x": VECTORS},
        "pickled": {"keys": NAMES.astype(object), "embeddings": VECTORS},
        "flat": {"keys": NAMES, "embeddings": VECTORS[0]},
        "short": {"keys": NAMES[:2], "embeddings": VECTORS},
        "numbers": {"keys": np.arange(3), "embeddings": VECTORS},
    }
    for name, content in wrong.items():
        path = tmp_path / f"{name}.npz"
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            np.savez(path, **content)
        with pytest.raises(UserError, match=f"{name}.npz: no embeddings that `deeplense embed` wrote"):
            read_embeddings(path)
    with (tmp_path / "array.npz").open("wb") as file:
        np.save(file, VECTORS)
    with pytest.raises(UserError, match="no embeddings"):
        read_embeddings(tmp_path / "array.npz")
    np.savez(tmp_path / "nan.npz", keys=NAMES, embeddings=VECTORS * np.nan)
    with pytest.raises(UserError, match=r"nan.npz: holds embeddings that are not finite"):
        read_embeddings(tmp_path / "nan.npz")


def test_a_damaged_parquet_file(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "words.parquet").write_bytes(b"words")
    parquet.write_table(pyarrow.table({"x": [1]}), tmp_path / "others.parquet")
    ragged = {"keys": ["a", "b"], "embeddings": [[1.0, 2.0], [1.0]]}
    parquet.write_table(pyarrow.table(ragged), tmp_path / "ragged.parquet")
    for name in ("words", "others", "ragged"):
        with pytest.raises(UserError, match=f"{name}.parquet: no embeddings that `deeplense embed` wrote"):
            read_embeddings(tmp_path / f"{name}.parquet")


def test_an_export_is_the_encoder_with_its_card(toy_run: Any, tmp_path: Path) -> None:
    run = toy_run("contrast")
    export_encoder(open_run(run.path)[0], tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "README.md",
        "card.json",
        "encoder.safetensors",
    ]
    images = torch.rand(3, 1, 12, 12)
    moved = tmp_path / "elsewhere"
    (tmp_path / "out").rename(moved)
    encoder = load_encoder(moved)
    with torch.no_grad():
        assert torch.equal(encoder(images).pooled, load_encoder(run.path)(images).pooled)
    card = encoder.card
    assert card["plugins"] == {"fake-toynet": "0.1"}
    assert (card["backbone"]["use"], card["method"], card["dataset"]) == ("toynet", "contrast", "blobs")
    assert (card["bands"], card["pixel_scale"], card["measurements"]) == (["r"], 0.1, [])
    assert {"scaling", "shape", "width", "digest", "train_digest", "versions", "run"} <= card.keys()
    page = (moved / "README.md").read_text()
    assert "Needs: `pip install deeplense-registry fake-toynet`. Bands: r; 0.1 arcsec a pixel." in page
    assert "Not measured on test images." in page
    assert str(tmp_path) not in page + json.dumps(card)


def test_an_export_never_replaces_anything(toy_run: Any, tmp_path: Path) -> None:
    run = open_run(toy_run("contrast").path)[0]
    (tmp_path / "out").mkdir()
    export_encoder(run, tmp_path / "out")  # an empty folder will do
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "out", tmp_path, tmp_path / "file"):
        with pytest.raises(UserError, match="is there already; give a new folder"):
            export_encoder(run, place)
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    with pytest.raises(UserError, match="cannot write"):
        export_encoder(run, tmp_path / "file" / "out")


def test_a_damaged_encoder_is_not_exported(toy_run: Any, tmp_path: Path) -> None:
    run = open_run(toy_run("contrast").path)[0]
    content = bytearray(run.encoder.read_bytes())
    content[-1] ^= 1
    run.encoder.write_bytes(content)
    with pytest.raises(UserError, match=r"encoder.safetensors: damaged \(its checksum is not the card's\)"):
        export_encoder(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_plugin_is_named_with_the_command(toy_run: Any, plugin_folder: Path, tmp_path: Path) -> None:
    run = open_run(toy_run("contrast").path)[0]
    export_encoder(run, tmp_path / "out")
    for path in plugin_folder.glob("fake_toynet*"):
        shutil.rmtree(path)
    importlib.invalidate_caches()
    for place in (tmp_path / "out", run.path):
        with pytest.raises(PluginError, match=r"the encoder needs fake-toynet 0.1: pip install fake-toynet"):
            load_encoder(place)


def test_a_broken_plugin_shows_its_error(toy_run: Any, plugin_folder: Path) -> None:
    run = toy_run("contrast")
    (plugin_folder / "fake_toynet" / "implementation.py").write_text("import nonsense_module")
    for name in [name for name in sys.modules if name.startswith("fake_toynet")]:
        del sys.modules[name]
    importlib.invalidate_caches()
    with pytest.raises(PluginError, match="nonsense_module"):
        load_encoder(run.path)
