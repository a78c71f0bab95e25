"""``[skew]`` in a spec: what it changes, what it leaves alone, and what is refused where the targets are known."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from deeplense_registry.components import DatasetFacts, ImageShape, Target
from deeplense_registry.spec import (
    Cell,
    SkewTable,
    SpecError,
    cell_faults,
    expand,
    load_spec,
    run_facts,
    skew_faults,
    to_toml,
)

ONE = "[dataset.sky]\n[method.pair]\n[backbone.net]\n[train]\nbatch_size = 20\n"
SKEW = '[skew]\ntarget = "class"\nratio = { none = 1, sphere = 0.25 }\n'
TARGETS = {"class": Target(classes=("none", "sphere")), "mass": Target(unit="dex")}

pytestmark = pytest.mark.usefixtures("toy_plugins")


def cell_of(folder: Path, text: str, *overrides: str) -> Cell:
    path = folder / "spec.toml"
    path.write_text(text)
    (cell,) = expand(load_spec(path, overrides))
    return cell


def test_without_the_table_there_is_no_skew(tmp_path: Path) -> None:
    cell = cell_of(tmp_path, ONE)
    assert cell.skew is None
    assert "skew" not in cell.resolved


def test_a_ratio_is_a_table_of_classes(tmp_path: Path) -> None:
    cell = cell_of(tmp_path, ONE + SKEW, "skew.ratio.sphere=0.1", "skew.on=labels")
    assert cell.skew == SkewTable(target="class", on="labels", ratio={"none": 1.0, "sphere": 0.1})


@pytest.mark.parametrize("more", [SKEW, '[skew]\ntarget = "class"\nimbalance = 10\non = "labels"\n'])
def test_the_resolved_spec_gives_the_same_cell(tmp_path: Path, more: str) -> None:
    cell = cell_of(tmp_path, ONE + more + '[labels]\nindex = "published/splits"\n')
    again = cell_of(tmp_path, to_toml(cell.resolved))
    assert (again.digest, again.train_digest) == (cell.digest, cell.train_digest)
    assert tomllib.loads(to_toml(cell.resolved))["labels"]["index"] == "published/splits"


def test_what_a_skew_changes(tmp_path: Path) -> None:
    base = cell_of(tmp_path, ONE)
    both, labels = (cell_of(tmp_path, ONE + SKEW, f"skew.on={on}") for on in ("both", "labels"))
    assert len({base.digest, both.digest, labels.digest}) == 3
    assert base.train_digest == labels.train_digest != both.train_digest


def test_how_many_images_are_left_is_not_known_before_the_targets(tmp_path: Path) -> None:
    assert run_facts(cell_of(tmp_path, ONE + SKEW)) is None
    facts = run_facts(cell_of(tmp_path, ONE + SKEW, "skew.on=labels"))
    assert facts is not None
    assert facts.images == 100
    with pytest.raises(SpecError, match="is more than the 100 training images"):  # the most that can be left
        cell_of(tmp_path, ONE + SKEW, "train.batch_size=200")


def test_facts_of_shards_tell_the_targets_too(tmp_path: Path) -> None:
    cell = cell_of(tmp_path, ONE + SKEW)
    shape = ImageShape(1, 32, 32)
    assert cell_faults(cell, DatasetFacts(shape=shape, images={"train": 100})) == []  # nobody knows its targets
    (fault,) = cell_faults(cell, DatasetFacts(shape=shape, images={}, targets={"theta_e": TARGETS["mass"]}))
    assert (fault.path, fault.text) == (("skew", "target"), 'the data set has no target "class"; known: theta_e')


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"target": "mass", "imbalance": 2.0}, '"mass" is a quantity; give distribution instead'),
        ({"target": "mass", "ratio": {"a": 1.0}}, '"mass" is a quantity; give distribution instead'),
        ({"target": "class", "distribution": "gap"}, '"class" has classes; give ratio or imbalance instead'),
        ({"target": "class", "ratio": {"sphere": 1.0}}, 'the ratio of "none" is missing; name every class of "class"'),
    ],
)
def test_a_table_that_does_not_suit_the_target(table: dict[str, object], text: str) -> None:
    assert [fault.text for fault in skew_faults(SkewTable(**table), TARGETS)] == [text]


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"scale": 0.0}, "'scale' must be > 0"),
        ({"gap": (2.0, 1.0)}, r"'gap' runs from its lower to its upper end; got \[2.0, 1.0\]"),
        ({"shape": 1.0}, 'shape belongs to distribution = "lognormal"; leave it out'),
        ({"distribution": "gap", "scale": 1.0}, 'scale belongs to distribution = "exponential" or "lognormal"'),
        ({"imbalance": 2.0}, "imbalance and distribution exclude each other; keep one"),
    ],
)
def test_parameters_of_another_distribution(table: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        SkewTable(**{"target": "mass", "distribution": "exponential", **table})
