"""Encoders are saved and rebuilt by name, whatever their options."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from deeplense_registry import ImageShape, UserError, build, load_encoder
from deeplense_registry.components import find, load_options
from deeplense_registry.engine.encoder import save_encoder
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


def test_building_what_is_built_in_says_so() -> None:
    with pytest.raises(UserError):
        build("dataset", "shards", {"path": "somewhere"})
