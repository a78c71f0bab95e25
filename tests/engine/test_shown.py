"""What evaluators show: files in the run's folder and tags in TensorBoard, each table's its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from plugin_factory import make_plugin
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from deeplense_registry.engine.evaluating import in_table

SHOW = """
import numpy as np
from deeplense_registry import Evaluator

class Implementation(Evaluator):
    def evaluate(self, bench):
        picture = np.full((4, 4), self.options.strength, np.float32)
        for name in ("show", "show/class", "other"):
            bench.picture(name, picture)
        bench.keep("show/class.csv", b"strength")
        bench.projector("show", np.eye(3, dtype=np.float32), {"name": ["a", "b", "c"]})
        return ()
"""


def test_tables_of_one_evaluator_keep_what_they_show_apart(toy_run: Any, plugin_folder: Path) -> None:
    make_plugin(plugin_folder, "show", "evaluator", implementation=SHOW)
    tables = ("evaluate.show={}", 'evaluate.dim={use="fake-show:show",strength=0.5}')
    run = toy_run("contrast", *tables, 'labels.budgets=["all"]')
    for encoder in ("trained", "untrained"):
        folder = run.pictures / encoder
        files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert files == {
            *("show.png", "show/class.png", "show/class.csv", "other.png"),
            *("dim.png", "dim/class.png", "dim/class.csv", "dim/other.png"),
        }
        assert (folder / "show/class.png").read_bytes() != (folder / "dim/class.png").read_bytes()
    events = EventAccumulator(str(run.path / "tensorboard")).Reload()
    tags = {tag.removeprefix("trained/") for tag in events.Tags()["images"] if tag.startswith("trained/")}
    assert tags == {"show", "show/class", "other", "dim", "dim/class", "dim/other"}
    spaces = (run.path / "tensorboard" / "projector_config.pbtxt").read_text()
    assert all(f'"{encoder}/{table}:' in spaces for encoder in ("trained", "untrained") for table in ("show", "dim"))


@pytest.mark.parametrize(
    ("name", "table", "expected"),
    [
        ("map/class", "map", "map/class"),
        ("class", "map", "class"),
        ("map/class", "tsne", "tsne/class"),
        ("map", "tsne", "tsne"),
        ("map.csv", "tsne", "tsne/map.csv"),
        ("class", "tsne", "tsne/class"),
        ("mapped/class", "tsne", "tsne/mapped/class"),
    ],
)
def test_names(name: str, table: str, expected: str) -> None:
    assert in_table(name, "map", table) == expected
