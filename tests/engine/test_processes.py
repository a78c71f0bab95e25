"""Several processes are one: the same loss, gradients, statistics, and in reproducible mode the same bits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).with_name("processes.py")
Record = dict[str, torch.Tensor]


def run(out: Path, processes: int, *words: object) -> list[Record]:
    """The records of every rank."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", f"--log-dir={out}.logs"]
    command = [sys.executable, *(torchrun if processes > 1 else []), str(SCRIPT), str(out), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [torch.load(f"{out}.{rank}", weights_only=True) for rank in range(processes)]


@pytest.mark.parametrize("processes", [2, 4])
def test_one_step_agrees_with_one_process(tmp_path: Path, processes: int) -> None:
    (single,) = run(tmp_path / "single", 1, 8, "averaged", "float64", 2)
    for record in run(tmp_path / "several", processes, 8, "averaged", "float64", 2):
        assert record.keys() == single.keys()
        for name in single.keys() - {"any"}:
            torch.testing.assert_close(record[name], single[name], rtol=1e-6, atol=1e-9, msg=name)
        assert record["any"].tolist() == [True, False]
    assert any("running_var" in name for name in single)


def test_reproducible_runs_have_the_same_bits(tmp_path: Path) -> None:
    (single,) = run(tmp_path / "single", 1, 8, "reproducible", "float32", 10)
    for processes in (2, 4):
        for record in run(tmp_path / f"of{processes}", processes, 8, "reproducible", "float32", 10):
            for name in single.keys() - {"any"}:
                assert torch.equal(record[name], single[name]), name


def test_without_it_bits_differ(tmp_path: Path) -> None:
    """The mark that the test above measures something."""
    (single,) = run(tmp_path / "single", 1, 8, "averaged", "float32", 10)
    record, _ = run(tmp_path / "two", 2, 8, "averaged", "float32", 10)
    assert not torch.equal(record["state.backbone.conv.weight"], single["state.backbone.conv.weight"])
    torch.testing.assert_close(
        record["state.backbone.conv.weight"], single["state.backbone.conv.weight"], rtol=1e-3, atol=1e-4
    )
