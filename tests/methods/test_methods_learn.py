"""Every method learns: on simulated lenses its encoder beats the one it began with, by intervals that do not overlap.

The figures of docs/methods.md come from the same spec.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.methods.rehearsal import ROOT, published

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The survey of ``specs/methods.toml``, two methods at a time: some twenty minutes on two cores."""
    folder = tmp_path_factory.mktemp("runs")
    command = [
        sys.executable,
        "-m",
        "deeplense_registry",
        "run",
        str(ROOT / "specs/methods.toml"),
        "--runs",
        str(folder),
        "--workers",
        "2",
    ]
    subprocess.run(command, check=True)
    return folder / "methods"


def gains(run: Path) -> dict[tuple[str, str, str, int], float]:
    """By how much the trained encoder's interval clears the untrained one's, where a larger score is better."""
    measured: list[dict[str, Any]] = json.loads((run / "measurements.json").read_text())
    sides: dict[str, dict[tuple[str, str, str, int], dict[str, Any]]] = {"trained": {}, "untrained": {}}
    for one in measured:
        if one["metric"] in ("auroc", "r2"):
            sides[one["encoder"]][one["evaluator"], one["target"], one["metric"], one["labels"]] = one
    return {key: one["low"] - sides["untrained"][key]["high"] for key, one in sides["trained"].items()}


@pytest.mark.parametrize("method", published("method"))
def test_it_beats_the_untrained_encoder(runs: Path, method: str) -> None:
    run = runs / f"{method}-levit"
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    assert not manifest.get("collapsed")
    found = gains(run)
    won = [key for key, gain in found.items() if gain > 0]
    assert any(key[0] in ("linear", "ridge", "knn") for key in won), found
    assert max(gain for key, gain in found.items() if key[0] != "knn") > 0, found
