"""Whole runs in real processes, as small as they can be."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TINY = """\
[run]
name = "tiny"

[dataset.lenses]
size = 32
train = 192
val = 48
test = 48
vary = ["einstein_radius"]

[method.simclr]

[backbone.levit]
variant = "128s-s8"

[train]
epochs = 3
batch_size = 32
log_every = 2
precision = "fp32"
threads = 1
checkpoint_minutes = 0.001

[labels]
budgets = [30, "all"]
draws = 3

[evaluate.knn]
targets = ["class", "einstein_radius"]
k = 5
"""

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def environment(cache: Path) -> dict[str, str]:
    return {**os.environ, "DEEPLENSE_CACHE": str(cache), "COLUMNS": "160", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def deeplense(environment: dict[str, str]) -> Command:
    """Run the command line in a process of its own."""

    def call(*words: object, code: int | None = 0, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "deeplense_registry", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, env={**environment, **more}, timeout=300)
        assert code is None or done.returncode == code, done.stdout + done.stderr
        return done

    return call


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spec") / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def finished(deeplense: Command, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was never interrupted."""
    runs = tmp_path_factory.mktemp("finished")
    deeplense("run", tiny, "--runs", runs)
    return runs / "tiny" / "simclr-levit"
