"""Each plugin from its wheel, alone with the core in an environment that has nothing else of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

from tests.plugin_factory import make_plugin

ROOT = Path(__file__).parents[2]
LIGHT = ("attrs", "cattrs", "pluggy", "rich", "tomli-w")
"""What listing and checking need: no torch, no numpy."""
PLUGINS = sorted(
    path.parent for kind in ("methods", "backbones") for path in ROOT.glob(f"plugins/{kind}/*/pyproject.toml")
)
BACKBONE = """
    @frozen
    class Options:
        def facts(self, shape):
            return BackboneFacts(width=8, min_size=8, grid=(8, 8), batch_norm=True)
"""
DATASET = """
    @frozen
    class Options:
        def facts(self):
            return DatasetFacts(shape=ImageShape(1, 64, 64), images={"train": 512}, targets={})
"""
STRANGERS = {"dataset": DATASET, "method": "@frozen\nclass Options: ...\n", "backbone": BACKBONE}
"""Options of made-up plugins that fill a spec."""
NEEDS = {"equivariant": ["levit"]}
"""The distributions of ours that a plugin declares."""

pytestmark = pytest.mark.slow


def pip(python: Path | str, *words: object) -> None:
    done = subprocess.run([python, "-m", "pip", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels of the core and of every method and backbone."""
    folder = tmp_path_factory.mktemp("wheels")
    build = ("wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder)
    pip(sys.executable, *build, ROOT, *PLUGINS)
    return folder


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Path:
    """The Python of an environment with the core."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip(python, "install", "--quiet", "--disable-pip-version-check", *LIGHT)
    pip(python, "install", "--quiet", "--no-deps", *wheels.glob("deeplense_registry-*.whl"))
    return python


def deeplense(python: Path, *words: object, beside: Path) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-m", "deeplense_registry", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(beside)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=beside)


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_a_plugin_alone_is_listed_and_checks_a_spec(plugin: Path, clean: Path, wheels: Path, tmp_path: Path) -> None:
    kind, name = plugin.parent.name.removesuffix("s"), plugin.name
    declared = tomllib.loads((plugin / "pyproject.toml").read_text())["project"]["dependencies"]
    needs = NEEDS.get(name, [])
    assert [one for one in needs if any(word.startswith(f"deeplense-{one}") for word in declared)] == needs
    site = tmp_path / "site"
    for one in (name, *needs):
        pip(clean, "install", "--quiet", "--no-deps", "--target", site, *wheels.glob(f"deeplense_{one}-*.whl"))
    listed = deeplense(clean, "plugins", "--json", beside=site)
    rows = json.loads(listed.stdout)
    assert {row["name"] for row in rows} == {name, *needs}
    assert {(row["name"], row["state"]) for row in rows if row["kind"] == kind} >= {(name, "ok")}
    spec = ""
    for other, options in STRANGERS.items():
        if other != kind:
            make_plugin(site, f"toy-{other}", other, options=options)
        spec += f"[{other}.{name if other == kind else f'toy-{other}'}]\n"
    (tmp_path / "spec.toml").write_text(spec)
    done = deeplense(clean, "check", tmp_path / "spec.toml", beside=site)
    assert done.returncode == 0, done.stderr
    assert "right: 1 run" in done.stdout
