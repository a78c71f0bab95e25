"""Runs as they lie on disk, made without training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from deeplense_registry.engine import RunFolder
from deeplense_registry.interfaces import Measurement
from deeplense_registry.shards.atomic import write_json
from deeplense_registry.spec import Cell, expand, load_spec

SPEC = """\
[run]
name = "some"
seeds = [0, 1]

[dataset.lenses]
train = 320

[method.simclr]

[method.cool]
use = "simclr"
temperature = 0.1

[backbone.levit]

[train]
epochs = 2
batch_size = 32
threads = 1
"""

Make = Callable[..., RunFolder]


@pytest.fixture
def cells(tmp_path: Path) -> tuple[Cell, ...]:
    path = tmp_path / "some.toml"
    path.write_text(SPEC)
    return expand(load_spec(path))


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write the folder of a run of a cell that has measured something."""

    def write(cell: Cell, measured: Sequence[Measurement] = (), runs: str = "runs", **manifest: object) -> RunFolder:
        folder = RunFolder(tmp_path / runs / "some" / cell.name)
        plugins = [("dataset", "lenses"), ("method", "simclr"), ("backbone", "levit")]
        folder.write_spec(cell)
        about = {"name": cell.name, "status": "finished", "digest": cell.digest, "train_digest": cell.train_digest}
        about |= {"seed": cell.seed, "dataset": cell.dataset.name, "method": cell.method.name}
        about |= {"backbone": cell.backbone.name, "started": 0.0, "ended": 9.0, "core_digest": "c" * 64}
        about |= {"precision": {"forward": "fp32"}, "versions": {"torch": "2"}, "shards": "d" * 64, "git": None}
        rows = [{"kind": k, "name": n, "distribution": n, "version": "1", "digest": n * 20} for k, n in plugins]
        folder.write_manifest({**about, "plugins": rows, **manifest})
        if measured:
            folder.write_measurements(measured)
            write_json(folder.card, {"sha256": "e" * 64})
        return folder

    return write
