"""From a spec to cells: the product, names, digests, facts, and the document that gives a cell again."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plugin_factory import make_plugin

from deeplense_registry.components import DatasetFacts, ImageShape
from deeplense_registry.spec import Cell, SpecError, check_facts, expand, load_spec, run_facts, to_toml

ONE = "[dataset.sky]\n[method.pair]\n[backbone.net]\n[train]\nbatch_size = 20\n"

pytestmark = pytest.mark.usefixtures("toy_plugins")


def cells(folder: Path, text: str, *overrides: str) -> tuple[Cell, ...]:
    path = folder / "spec.toml"
    path.write_text(text)
    return expand(load_spec(path, overrides))


def test_one_cell(tmp_path: Path) -> None:
    (cell,) = cells(tmp_path, ONE)
    assert (cell.name, cell.run, cell.seed, cell.evaluate) == ("pair-net", "run", 0, ())
    assert (cell.method.use, cell.method.row and cell.method.row.found.distribution) == ("pair", "fake-pair")
    facts = run_facts(cell)
    assert facts is not None
    assert (facts.images, facts.micro_batch, facts.steps, facts.steps_per_epoch) == (100, 20, 100, 5)


def test_product_less_what_is_excluded(tmp_path: Path) -> None:
    more = """
        [run]
        seeds = [3, 1]
        [dataset.dark]
        use = "sky"
        [method.twin]
        use = "pair"
        [[exclude]]
        method = "twin"
        dataset = "dark"
        [[exclude]]
        seed = 1
        method = "pair"
    """
    assert [cell.name for cell in cells(tmp_path, ONE + more)] == [
        "sky-pair-net-s3",
        "sky-twin-net-s3",
        "sky-twin-net-s1",
        "dark-pair-net-s3",
    ]


def test_digests_tell_what_matters(tmp_path: Path) -> None:
    (base,) = cells(tmp_path, ONE)

    def same(text: str, *overrides: str) -> tuple[bool, bool]:
        (other,) = cells(tmp_path, text, *overrides)
        return other.digest == base.digest, other.train_digest == base.train_digest

    assert same(ONE) == (True, True)
    assert same(ONE, "run.name=other", "execute.device=cpu") == (True, True)
    assert same(ONE, "method.pair.temperature=0.1") == (True, True)  # the default, written out
    assert same(ONE, "train.log_every=3", "train.keep_checkpoints=3", "train.checkpoint_minutes=1") == (False, True)
    assert same(ONE, 'train.probe=["class"]') == (False, True)
    assert same(ONE, "evaluate.score.k=3", "labels.budgets=[30]") == (False, True)
    assert same(ONE.replace("[method.pair]", '[method.mine]\nuse = "pair"')) == (False, True)
    changes = ["run.seeds=[1]", "method.pair.temperature=0.2", "backbone.net.width=9", "views.flip=false"]
    for change in (*changes, "dataset.sky.images=101", "flux.softening=2", "train.epochs=3"):
        assert same(ONE, change) == (False, False)


def test_instance_digest_is_of_use_and_options_alone(tmp_path: Path) -> None:
    text = ONE + '[method.twin]\nuse = "pair"\n[method.third]\nuse = "pair"\nqueue = 20\n'
    pair, twin, third = (cell.method.digest for cell in cells(tmp_path, text))
    assert pair == twin != third


options = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0.001, 100),
        "symmetric": st.booleans(),
        "scale": st.tuples(st.floats(0, 0.5), st.floats(0.5, 1)).map(list),
        "mode": st.sampled_from(["fast", "exact"]),
    },
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(options, st.lists(st.integers(0, 9), min_size=1, max_size=2, unique=True), st.integers(1, 99))
def test_a_resolved_cell_read_again_is_the_cell(
    tmp_path: Path, method: dict[str, Any], seeds: list[int], epochs: int
) -> None:
    document = {
        **tomllib.loads(ONE),
        "run": {"name": "again", "seeds": seeds},
        "method": {"mine": {"use": "pair", **method}},
        "evaluate": {"score": {}},
        "train": {"batch_size": 20, "epochs": epochs},
        "labels": {"budgets": [7, "all"]},
    }
    for cell in cells(tmp_path, to_toml(document)):
        (again,) = cells(tmp_path, to_toml(cell.resolved))
        assert again == evolve(cell, name="mine-net")
        assert again.resolved == cell.resolved == tomllib.loads(to_toml(cell.resolved))
        assert (again.digest, again.train_digest) == (cell.digest, cell.train_digest)


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("train.epochs=3", "[train]\nepochs = 3"),
        ("method.pair.temperature=2", "[method.pair]\ntemperature = 2"),
        ("method.pair.mode=exact", "[method.pair]\nmode = 'exact'"),
        ("labels.budgets=[3, 'all']", "[labels]\nbudgets = [3, 'all']"),
        ("views={flip = false}", "[views]\nflip = false"),
        ("backbone.net.head.act=gelu", "[backbone.net.head]\nact = 'gelu'"),
    ],
)
def test_an_override_means_what_the_file_would(tmp_path: Path, override: str, value: str) -> None:
    (tmp_path / "base.toml").write_text(ONE)
    (written,) = cells(tmp_path, f'extends = "base.toml"\n{value}\n')
    (overridden,) = cells(tmp_path, ONE, override)
    assert written == overridden


def test_facts_are_unknown_before_the_data(tmp_path: Path) -> None:
    (cell,) = cells(tmp_path, ONE, "dataset.sky.images=0", "train.batch_size=999")
    assert run_facts(cell) is None
    true = DatasetFacts(shape=ImageShape(1, 32, 32), images={"train": 100})
    facts = run_facts(cell, true)
    assert facts is not None
    assert check_facts(cell, facts) == [
        "train.batch_size: 999 is more than the 100 training images; an epoch would have no step"
    ]


def test_shards_are_built_in(tmp_path: Path) -> None:
    (cell,) = cells(tmp_path, ONE.replace("[dataset.sky]", '[dataset.mine]\nuse = "shards"\npath = "s3://b/x"'))
    assert (cell.dataset.row, cell.dataset.options.path) == (None, "s3://b/x")
    assert run_facts(cell) is None


@pytest.mark.parametrize("path", ["PIPE:cat x", "s3:x", "s3://b::pipe:cat x", " pipe:ls", "ssh://h/x"])
def test_paths_that_are_no_data(tmp_path: Path, path: str) -> None:
    with pytest.raises(SpecError, match="give the folder or URL of shards"):
        cells(tmp_path, ONE.replace("[dataset.sky]", f'[dataset.shards]\npath = "{path}"'))


def test_backbone_that_tells_no_facts(tmp_path: Path, plugin_folder: Path) -> None:
    make_plugin(plugin_folder, "mute", "backbone")
    (cell,) = cells(tmp_path, ONE.replace("backbone.net", "backbone.mute"))
    assert run_facts(cell) is None


def test_checks_of_evaluators_reach_their_table(tmp_path: Path, plugin_folder: Path) -> None:
    strict = """
        @frozen
        class Options:
            def check(self, facts: RunFacts):
                return [f"{facts.images} images are too few"]
    """
    make_plugin(plugin_folder, "strict", "evaluator", options=strict)
    with pytest.raises(SpecError, match=r"evaluate\.strict\n.*\n.*100 images are too few"):
        cells(tmp_path, ONE + "[labels]\nbudgets = [3]\n[evaluate.strict]\n")
