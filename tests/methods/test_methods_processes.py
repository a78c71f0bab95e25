"""Every method on 2 and 4 processes is that on 1: loss, gradients, queues, centres, statistics."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.methods.processes import MODES
from tests.methods.rehearsal import CASES

SCRIPT = Path(__file__).with_name("processes.py")
SEVERAL = pytest.mark.parametrize("processes", [2, 4])
EVERY = pytest.mark.parametrize("case", CASES)
Record = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What 1, 2 and 4 processes wrote, in folders of those names; the first of pytest's own workers starts them."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "processes-of-methods"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            for processes in (1, 2, 4):
                launch(processes, folder / str(processes))
            (folder / "done").touch()
    return folder


def launch(processes: int, out: Path) -> None:
    """One launch for every method: starting torch takes longer than what it does then."""
    out.mkdir()
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", f"--log-dir={out}/logs"]
    command = [sys.executable, *(torchrun if processes > 1 else []), str(SCRIPT), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


def read(folder: Path, processes: int, mode: str, case: str) -> Record:
    """The record of rank 0, once every rank is known to have the same bits."""
    saved = torch.load(folder / str(processes) / f"{mode}-{case}.pt", weights_only=True)
    assert saved["digests"].shape == (processes, 32)
    assert (saved["digests"] == saved["digests"][0]).all(), "the ranks differ"
    record: Record = saved["record"]
    return record


def assert_close(several: Record, single: Record) -> None:
    """To 1e-6; behind batch norm a bias has no gradient but rounding, which is below the absolute bound."""
    assert several.keys() == single.keys()
    for name, value in single.items():
        torch.testing.assert_close(several[name], value, rtol=1e-6, atol=1e-10, msg=name)


@SEVERAL
@EVERY
def test_loss_gradients_and_state_agree(records: Path, case: str, processes: int) -> None:
    single = read(records, 1, "averaged", case)
    assert_close(read(records, processes, "averaged", case), single)
    for step in range(MODES["averaged"].steps):
        gradients = [value for name, value in single.items() if name.startswith(f"gradient.{step}.")]
        assert torch.cat([gradient.flatten() for gradient in gradients]).norm() > 1e-3  # there is something to agree on


@SEVERAL
def test_a_real_backbone_agrees(records: Path, processes: int) -> None:
    for case in MODES["levit"].cases:
        assert_close(read(records, processes, "levit", case), read(records, 1, "levit", case))


@SEVERAL
@EVERY
def test_reproducible_steps_have_the_same_bits(records: Path, case: str, processes: int) -> None:
    several, single = read(records, processes, "reproducible", case), read(records, 1, "reproducible", case)
    assert several.keys() == single.keys()
    assert [name for name, value in single.items() if not torch.equal(several[name], value)] == []


@SEVERAL
def test_a_plain_gather_would_be_noticed(records: Path, processes: int) -> None:
    """It has the right loss, which proves nothing, and gradients that are far off."""
    several, single = read(records, processes, "wrong", "simclr"), read(records, 1, "wrong", "simclr")
    torch.testing.assert_close(several["loss.0"], single["loss.0"], rtol=1e-6, atol=0.0)
    name = "gradient.0.projector.0.weight"
    assert (several[name] - single[name]).norm() > 0.03 * single[name].norm()
