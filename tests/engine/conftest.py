"""Whole runs of toy parts in this process: made-up plugins on shards of made-up images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from plugin_factory import make_plugin
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from deeplense_registry import Dataset, DatasetCard, ImageShape, Sample, Target
from deeplense_registry.engine import RunFolder, run_cell
from deeplense_registry.shards import build_shards
from deeplense_registry.spec import expand, load_spec

SIDE = 12
COUNTS: dict[str, int | None] = {"train": 96, "val": 48}

NET = """
from toys import ToyBackbone

class Implementation(ToyBackbone):
    def __init__(self, options, shape, *, drop_path=None):
        super().__init__(options, shape, drop_path=0.1, norm=True)
"""

CONTRAST = "from toys import ToyContrast as Implementation\n"

ATTRACT = """
from toys import ToyContrast
from torch.nn import functional as F
from deeplense_registry import Loss
from deeplense_registry.blocks import embedding_std

class Implementation(ToyContrast):
    \"\"\"Both views attract and nothing repels: SimSiam without its stop-gradient.\"\"\"

    collapse_causes = ("the gradient is not stopped",)

    def loss(self, outputs, world, progress):
        first, second = outputs["z"].unbind(1)
        parts = {"embedding_std": embedding_std(first)}
        return Loss(-F.cosine_similarity(first, second).mean() + 0 * self.prototypes.sum(), parts)

    def chance_level(self):
        return None
"""

SPEC = """\
[dataset.blobs]
use = "shards"
path = "{shards}"
[method.{method}]
[backbone.toynet]
[train]
epochs = 2
batch_size = 24
log_every = 3
threads = 1
precision = "fp32"
learning_rate = 0.01
[execute]
observers = ["log", "tensorboard"]
"""

Run = Callable[..., RunFolder]


class Blobs(Dataset):
    """One blob or two, of some width; every seventh image has no label."""

    def card(self) -> DatasetCard:
        return DatasetCard(
            name="blobs",
            shape=ImageShape(1, SIDE, SIDE),
            bands=("r",),
            pixel_scale=0.1,
            targets={"class": Target(classes=("one", "two")), "width": Target(unit="pixel")},
            splits=COUNTS,
        )

    def samples(self, split: str, part: int, parts: int) -> Iterator[Sample]:
        count = COUNTS[split] or 0
        for number in range(count * part // parts, count * (part + 1) // parts):
            rng = np.random.default_rng([number, len(split)])
            kind, width = number % 2, float(rng.uniform(0.8, 2.0))
            x, y = np.meshgrid(np.arange(SIDE) - SIDE / 2, np.arange(SIDE) - SIDE / 2)
            image = sum(np.exp(-((x - dx) ** 2 + y**2) / 2 / width**2) for dx in ((0,), (-3, 3))[kind])
            noisy = (image + rng.normal(0, 0.02, (SIDE, SIDE)))[None].astype(np.float32)
            targets: dict[str, Any] = {"class": kind, "width": width} if number % 7 else {}
            yield Sample(name=f"{split}{number}", image=noisy, targets=targets)


def source() -> Dataset:
    return Blobs(None)


@pytest.fixture(scope="session")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blobs")
    build_shards(source, source().card(), folder, digest="blobs", processes=1)
    return folder


@pytest.fixture
def toy_run(plugin_folder: Path, blobs: Path, tmp_path: Path) -> Iterator[Run]:
    """``toy_run(method, *overrides)``: a finished run of the method "contrast" or "attract"."""
    make_plugin(plugin_folder, "toynet", "backbone", implementation=NET)
    make_plugin(plugin_folder, "contrast", "method", implementation=CONTRAST)
    make_plugin(plugin_folder, "attract", "method", implementation=ATTRACT)
    threads = torch.get_num_threads()

    def run(method: str, *overrides: str, name: str = "run") -> RunFolder:
        path = tmp_path / "spec.toml"
        path.write_text(SPEC.format(shards=blobs, method=method))
        (cell,) = expand(load_spec(path, overrides))
        folder = RunFolder(tmp_path / name)
        assert run_cell(cell, folder)
        return folder

    with threadpool_limits():
        yield run
    torch.set_num_threads(threads)
