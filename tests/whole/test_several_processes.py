"""A run on several processes: through torchrun, interrupted, continued on another number, the same bytes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPRODUCIBLE = ("--set", "train.reproducible=true", "--set", "train.micro_batch=8", "--set", "train.epochs=2")


@pytest.fixture(scope="module")
def alone(deeplense, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reproducible run on one process."""
    runs = tmp_path_factory.mktemp("alone")
    deeplense("run", tiny, "--runs", runs, *REPRODUCIBLE)
    return runs / "tiny" / "simclr-levit"


def encoder(folder: Path) -> bytes:
    return (folder / "encoder.safetensors").read_bytes()


def test_two_processes_give_the_bytes_of_one(deeplense, tiny: Path, alone: Path, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    deeplense("run", tiny, "--runs", tmp_path, "--processes", 2, *REPRODUCIBLE, TMPDIR=str(temporary))
    run = tmp_path / "tiny" / "simclr-levit"
    assert encoder(run) == encoder(alone)
    assert (run / "measurements.json").read_bytes() == (alone / "measurements.json").read_bytes()
    assert {path.name.split("_")[0] for path in temporary.iterdir()} <= {"torchinductor"}  # torch's own cache


def test_begun_on_two_and_continued_on_one(
    deeplense, environment: dict[str, str], tiny: Path, alone: Path, tmp_path: Path
) -> None:
    words = ["run", str(tiny), "--runs", str(tmp_path), *REPRODUCIBLE]
    command = [sys.executable, "-m", "deeplense_registry", *words, "--processes", "2"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    run = tmp_path / "tiny" / "simclr-levit"
    while not list((run / "checkpoints").glob("step-*.json")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert not (run / ".stop").exists()
    deeplense(*words)
    assert encoder(run) == encoder(alone)


def test_a_mistake_in_a_worker_is_one_message(deeplense, tiny: Path, tmp_path: Path) -> None:
    words = ("--processes", 2, "--set", "train.micro_batch=16", "--set", "train.learning_rate=1e30")
    done = deeplense("run", tiny, "--runs", tmp_path, *words, code=2)
    assert "lower train.learning_rate, lengthen train.warmup_epochs" in done.stderr
    assert "Traceback" not in done.stderr


def test_processes_that_do_not_share_evenly(deeplense, tiny: Path, tmp_path: Path) -> None:
    done = deeplense("run", tiny, "--runs", tmp_path, "--processes", 3, "--set", "train.micro_batch=16", code=2)
    assert "execute.processes" in done.stderr
