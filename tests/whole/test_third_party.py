"""A stranger's plugin, taken from the documentation as it stands, installed and run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"


def block(name: str) -> str:
    """The code block under the line that names a file, or the first of a language."""
    match = re.search(rf"`{re.escape(name)}`\n\n```\w+\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert match, name
    return match.group(1)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with just that plugin, installed by pip."""
    folder, site = tmp_path_factory.mktemp("barlow"), tmp_path_factory.mktemp("site")
    for name in ("pyproject.toml", "barlow_for_lenses.py"):
        (folder / name).write_text(block(name))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run([*pip, "--target", site, folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return site


def test_it_is_listed(deeplense, installed: Path) -> None:
    rows = json.loads(deeplense("plugins", "--json", PYTHONPATH=str(installed)).stdout)
    (row,) = [row for row in rows if row["name"] == "barlow"]
    assert row.pop("origin")
    assert row == {
        "kind": "method",
        "name": "barlow",
        "distribution": "barlow-for-lenses",
        "version": "1.0.0",
        "api": 1,
        "state": "ok",
        "summary": "Decorrelate the dimensions of the embedding.",
    }


def test_it_runs_from_the_spec_of_the_page(deeplense, installed: Path, tmp_path: Path) -> None:
    spec = re.search(r"```toml\n(\[run\]\nname = \"barlow\".*?)```", PAGE.read_text(), re.DOTALL)
    assert spec
    (tmp_path / "barlow.toml").write_text(spec.group(1))
    sizes = ("train=128", "val=32", "test=32", "size=32")
    small = [word for size in sizes for word in ("--set", f"dataset.lenses.{size}")]
    done = deeplense("run", tmp_path / "barlow.toml", "--runs", tmp_path, *small, PYTHONPATH=str(installed))
    assert "knn" in done.stdout
    rows = json.loads((tmp_path / "barlow" / "barlow-levit" / "measurements.json").read_text())
    assert {row["encoder"] for row in rows} == {"trained", "untrained"}


def test_without_it_the_spec_says_what_is_missing(deeplense, tmp_path: Path) -> None:
    (tmp_path / "spec.toml").write_text("[dataset.lenses]\n[method.barlow]\n[backbone.levit]\n")
    done = deeplense("check", tmp_path / "spec.toml", code=2)
    assert 'method "barlow" is not installed' in done.stderr
    assert "Installed methods: " in done.stderr
