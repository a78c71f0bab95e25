"""Wheels of the core and of one plugin, in an environment that has nothing else of ours."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIGHT = ("attrs", "cattrs", "pluggy", "rich", "tomli-w")
"""What listing and checking need: no torch, no numpy."""


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the core and the SimCLR plugin from their wheels."""
    wheels, folder = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("clean") / "venv"
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", wheels]
    subprocess.run([*build, ROOT, ROOT / "plugins" / "methods" / "simclr"], check=True, capture_output=True)
    venv.create(folder, with_pip=True)
    pip = [folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *LIGHT], check=True, capture_output=True)
    subprocess.run([*pip, "--no-deps", *sorted(wheels.glob("*.whl"))], check=True, capture_output=True)
    return folder / "bin"


def test_just_that_plugin_is_listed(clean: Path) -> None:
    done = subprocess.run([clean / "deeplense", "plugins", "--json"], capture_output=True, text=True, check=True)
    assert [(row["kind"], row["name"], row["state"]) for row in json.loads(done.stdout)] == [("method", "simclr", "ok")]


def test_what_is_missing_comes_with_the_command(clean: Path, tmp_path: Path) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text("[dataset.lenses]\n\n[method.simclr]\n\n[backbone.levit]\n")
    done = subprocess.run([clean / "deeplense", "check", spec], capture_output=True, text=True)
    assert done.returncode == 2
    assert 'dataset "lenses" is not installed: pip install deeplense-lenses' in done.stderr
    assert 'backbone "levit" is not installed: pip install deeplense-levit' in done.stderr
    assert "simclr" not in done.stderr.replace("[method.simclr]", "")
    assert "Traceback" not in done.stderr
