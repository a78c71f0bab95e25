"""A run whose spec names files knows when they change."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from plugin_factory import make_plugin

from deeplense_registry import UserError
from deeplense_registry.engine import RunFolder, run_cell
from deeplense_registry.spec import expand, load_spec

WEIGHED = """
    from pathlib import Path
    from deeplense_registry import contents_fingerprint

    @frozen
    class Options:
        weights: str = option("A file of weights.")

        def fingerprint(self):
            return contents_fingerprint([Path(self.weights)])
"""

NET = """
from toys import ToyBackbone as Implementation
"""

WHICH = """
from deeplense_registry import Evaluator, Measurement

class Implementation(Evaluator):
    \"\"\"A number that tells which images were labelled.\"\"\"

    def evaluate(self, bench):
        value = float(bench.draws("class")[0][0].index.sum())
        yield Measurement(metric="which", value=value, low=value, high=value)
"""


def run_again(run: RunFolder) -> bool:
    """Whether there was anything to do."""
    (cell,) = expand(load_spec(run.path / "spec.toml"))
    return run_cell(cell, run)


def test_other_weights_make_another_run(toy_run: Any, plugin_folder: Path, tmp_path: Path) -> None:
    make_plugin(plugin_folder, "weighed", "backbone", options=WEIGHED, implementation=NET)
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    run = toy_run("contrast", "backbone.toynet.use=weighed", f'backbone.toynet.weights="{file}"')
    file.touch()
    assert not run_again(run)
    file.write_bytes(b"two")
    with pytest.raises(UserError, match=r"another spec \(.*\), or of files that have changed since: choose another"):
        run_again(run)
    run.write_manifest({**(run.manifest() or {}), "status": "interrupted"})
    with pytest.raises(UserError, match="files that have changed since"):
        run_again(run)


def test_other_published_labels_are_evaluated_anew(toy_run: Any, plugin_folder: Path, tmp_path: Path) -> None:
    make_plugin(plugin_folder, "which", "evaluator", implementation=WHICH)
    few = ("evaluate.which={}", "labels.budgets=[12]", "labels.draws=1")
    first, second = (toy_run("contrast", *few, f"labels.seed={seed}", name=f"seed{seed}") for seed in (0, 1))
    published = tmp_path / "published"
    shutil.copytree(first.splits, published)
    run = toy_run("contrast", *few, f'labels.index="{published}"', name="published-labels")
    assert not run_again(run)
    shutil.copytree(second.splits, published, dirs_exist_ok=True)
    assert run_again(run)
    assert not run_again(run)
    assert run.encoder.read_bytes() == first.encoder.read_bytes()
    assert [row.value for row in run.measurements()] == [row.value for row in second.measurements()]
    assert [row.value for row in run.measurements()] != [row.value for row in first.measurements()]
