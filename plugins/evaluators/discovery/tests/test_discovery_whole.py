"""All six on a real, tiny run."""

import json
import os
import subprocess
import sys

import numpy as np
from PIL import Image

SPEC = """\
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
epochs = 1
batch_size = 32
precision = "fp32"
threads = 1

[labels]
budgets = [30]
draws = 2

[evaluate.similarity]
targets = ["class", "einstein_radius"]
queries = 3
shown = 4

[evaluate.anomaly]
target = "class"
trees = 20

[evaluate.trust]
targets = ["class", "einstein_radius"]

[evaluate.invariance]
curve = [1.0]

[evaluate.map]
targets = ["class"]
thumbnail = 16

[evaluate.attention]
examples = 1
"""


def test_a_whole_run_measures_and_shows(tmp_path):
    spec = tmp_path / "tiny.toml"
    spec.write_text(SPEC)
    command = [sys.executable, "-m", "deeplense_registry", "run", spec, "--runs", tmp_path / "runs"]
    environment = {**os.environ, "DEEPLENSE_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "runs" / "tiny" / "simclr-levit"
    rows = json.loads((folder / "measurements.json").read_text())
    assert {row["evaluator"] for row in rows} == {"similarity", "anomaly", "trust", "invariance", "map"}
    assert {row["encoder"] for row in rows} == {"trained", "untrained"}
    for encoder in ("trained", "untrained"):
        pictures = {str(path.relative_to(folder / "pictures" / encoder)) for path in pngs(folder, encoder)}
        targets = [
            f"{name}/{target}.png" for name in ("similarity", "trust") for target in ("class", "einstein_radius")
        ]
        assert pictures == {*targets, "map/class.png", "invariance.png", "attention.png"}
        assert all(np.asarray(Image.open(path)).std() > 10 for path in pngs(folder, encoder))


def pngs(folder, encoder):
    return sorted((folder / "pictures" / encoder).rglob("*.png"))
