"""Encoders are saved and rebuilt by name, whatever their options."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from deeplense_registry import ImageShape, UserError, build, load_encoder
from deeplense_registry.components import find, load_options
from deeplense_registry.engine.encoder import Encoder, save_encoder
from deeplense_registry.engine.folder import RunFolder
from deeplense_registry.spec import FluxTable, Instance
from deeplense_registry.spec.load import structure_options
from deeplense_registry.views import BandStatistics, Scaling

SHAPE = ImageShape(1, 32, 32)


@pytest.mark.parametrize(
    ("use", "options"), [("levit", {}), ("cvt", {"variant": "tiny"}), ("timm", {"model": "resnet18"})]
)
def test_an_encoder_comes_back(tmp_path: Path, use: str, options: dict[str, str]) -> None:
    row = find("backbone", use)
    instance = Instance(name=use, use=use, row=row, options=structure_options(load_options(row), options))
    torch.manual_seed(0)
    backbone = build("backbone", use, options, shape=SHAPE).eval()
    scaling = Scaling(FluxTable(), BandStatistics((0.5,), (2.0,)))
    save_encoder(RunFolder(tmp_path), backbone, instance, SHAPE, scaling, {})
    images = torch.rand(2, 1, 32, 32)
    state = torch.random.get_rng_state()
    encoder = load_encoder(tmp_path / "encoder.safetensors")
    assert torch.equal(torch.random.get_rng_state(), state)
    with torch.no_grad():
        assert torch.equal(encoder(images).pooled, backbone((images - 0.5) / 2.0).pooled)


def test_where_an_encoder_computes() -> None:
    scaling = Scaling(FluxTable(), BandStatistics((0.5,), (2.0,)))
    assert Encoder(torch.nn.Linear(1, 1, device="meta"), scaling, {}).device.type == "meta"
    assert Encoder(torch.nn.BatchNorm1d(1, affine=False, device="meta"), scaling, {}).device.type == "meta"
    assert Encoder(torch.nn.Identity(), scaling, {}).device.type == "cpu"  # nothing that could lie elsewhere


def test_building_what_is_built_in_says_so() -> None:
    with pytest.raises(UserError):
        build("dataset", "shards", {"path": "somewhere"})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The folder of an untrained encoder."""
    row = find("backbone", "levit")
    instance = Instance(name="levit", use="levit", row=row, options=structure_options(load_options(row), {}))
    backbone = build("backbone", "levit", {}, shape=SHAPE)
    save_encoder(
        RunFolder(tmp_path), backbone, instance, SHAPE, Scaling(FluxTable(), BandStatistics((0.5,), (2.0,))), {}
    )
    return tmp_path


def changed(folder: Path, **entries: object) -> None:
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, **entries}))


def test_the_card_names_what_must_be_installed(saved: Path) -> None:
    assert load_encoder(saved).card["plugins"] == {"deeplense-levit": version("deeplense-levit")}


def test_where_no_encoder_is(saved: Path) -> None:
    with pytest.raises(UserError, match="no encoder here; give the folder of a finished run, or of an export"):
        load_encoder(saved / "nowhere")
    (saved / "encoder.safetensors").unlink()
    with pytest.raises(UserError, match="no encoder here"):
        load_encoder(saved)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"format": 2}, "format 2, but this version reads 1"),
        ({"sha256": "0"}, r"damaged \(its checksum is not the card's\)"),
        ({"shape": {"channels": 0, "height": 1, "width": 1}}, "card.json: damaged"),
        ({"shape": {}}, "card.json: damaged"),
        ({"backbone": {}}, r"card.json: damaged \(KeyError\('use'\)\)"),
        ({"scaling": {}}, "the recorded flux scaling is damaged"),
        ({"backbone": {"use": "levit", "options": {"variant": "192"}}}, "does not fit the installed backbone 'levit'"),
        ({"backbone": {"use": "levit", "options": {"nonsense": 1}}}, "nonsense"),
        ({"backbone": {"use": "resnot", "options": {}}}, "resnot.* is not installed"),
        ({"plugins": {"deeplense-nowhere": "9"}, "backbone": {"use": "resnot", "options": {}}},
         "needs deeplense-nowhere 9: pip install deeplense-nowhere"),
    ],
)  # fmt: skip
def test_a_card_that_is_wrong(saved: Path, entries: dict[str, object], message: str) -> None:
    changed(saved, **entries)
    with pytest.raises(UserError, match=message):
        load_encoder(saved)


@pytest.mark.parametrize("text", ["[]", '"words"', "{"])
def test_a_card_that_is_none(saved: Path, text: str) -> None:
    (saved / "card.json").write_text(text)
    with pytest.raises(UserError, match=r"card.json: (format None|damaged)"):
        load_encoder(saved)


def test_a_full_disk_leaves_nothing_half_written(saved: Path) -> None:
    row = find("backbone", "levit")
    instance = Instance(name="levit", use="levit", row=row, options=structure_options(load_options(row), {}))
    backbone = build("backbone", "levit", {}, shape=SHAPE)
    folder = RunFolder(saved / "card.json" / "run")
    with pytest.raises(UserError, match="cannot write the encoder"):
        save_encoder(folder, backbone, instance, SHAPE, Scaling(FluxTable(), BandStatistics((0.5,), (2.0,))), {})
