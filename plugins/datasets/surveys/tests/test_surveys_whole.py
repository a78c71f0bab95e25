"""A spec regresses redshift from a survey, in a process of its own."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from deeplense_registry.spec import expand, load_spec

README = Path(__file__).parents[1] / "README.md"

SPEC = """
[run]
name = "redshift"

[dataset.stack]
use = "surveys"
path = "{stack}"
bands = ["g", "r"]
pixel_scale = 0.396
size = 32
fractions = {{ train = 0.7, val = 0.15, test = 0.15 }}
targets = {{ specz_redshift = {{}} }}

[dataset.cutouts]
use = "surveys"
path = "{path}"
catalogue = "{catalogue}"
bands = ["g", "r"]
size = 32
fractions = {{ train = 0.7, val = 0.15, test = 0.15 }}

[dataset.cutouts.targets]
specz_redshift = {{ column = "z" }}

[method.simclr]

[backbone.levit]
variant = "128s-s8"

[train]
epochs = 1
batch_size = 32
precision = "fp32"
threads = 1

[labels]
budgets = ["all"]

[evaluate.ridge]
targets = ["specz_redshift"]
"""


def test_redshift_from_a_stack_and_from_cutouts(write, make_sky, tmp_path):
    sky = make_sky(count=100, size=36, bands="gr")
    sky.images[7] = 0.0
    spec = tmp_path / "spec.toml"
    spec.write_text(SPEC.format(stack=write.sdss(sky), **write.cutouts(sky)))
    done = deeplense(tmp_path, "run", spec, "--runs", tmp_path)
    assert done.stderr.count("1 of 100 images are left out: 1 with pixels of band g all zero") == 2
    for dataset in ("stack", "cutouts"):
        text = (tmp_path / "redshift" / f"{dataset}-simclr-levit" / "measurements.json").read_text()
        rows = {(row["encoder"], row["metric"]): row for row in json.loads(text)}
        assert rows.keys() == {(encoder, metric) for encoder in ("trained", "untrained") for metric in ("r2", "mae")}
        assert all(row["target"] == "specz_redshift" and math.isfinite(row["value"]) for row in rows.values())
        guess = np.abs(sky.redshift - np.median(sky.redshift)).mean()
        assert rows["trained", "mae"]["value"] < guess


def deeplense(folder, *words):
    environment = {**os.environ, "DEEPLENSE_CACHE": str(folder / "cache"), "COLUMNS": "160", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "deeplense_registry", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_the_specs_of_the_readme_are_right(tmp_path):
    texts = re.findall(r"```toml\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(texts) == 2
    for text in texts:
        (tmp_path / "spec.toml").write_text(text)
        (cell,) = expand(load_spec(tmp_path / "spec.toml"))
        assert cell.dataset.options.targets
