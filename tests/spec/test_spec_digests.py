"""A digest depends on the files that a spec names, by what is in them; without files on the spec alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugin_factory import make_plugin

from deeplense_registry import contents_fingerprint
from deeplense_registry.spec import Cell, ShardsOptions, expand, load_spec

SPEC = """\
[dataset.sky]
[method.pair]
[backbone.net]
[evaluate.score]
[train]
batch_size = 20
[labels]
budgets = [30, "all"]
"""
PLANTED = "1f6de019632831039a3f79c77f0a1396f14f216e3f3c2a6de304f5e8c37d7b18"
PLANTED_TRAIN = "e1bdc2cd91f68567d28a542313167f7ca3e4dcdad0eaf9ffd7bd0aab8fb7bc02"

FILED = """
    from pathlib import Path
    from deeplense_registry import contents_fingerprint

    asked = []

    @frozen
    class Options:
        file: str | None = option("A file.", None)

        def fingerprint(self):
            asked.append(self.file)
            return contents_fingerprint([Path(self.file)]) if self.file else ""
"""
Digests = tuple[str, str]

pytestmark = pytest.mark.usefixtures("toy_plugins")


def cells(folder: Path, *overrides: str) -> tuple[Cell, ...]:
    path = folder / "spec.toml"
    path.write_text(SPEC)
    return expand(load_spec(path, overrides))


def digests(folder: Path, *overrides: str) -> Digests:
    (cell,) = cells(folder, *overrides)
    return cell.digest, cell.train_digest


def changed(before: Digests, after: Digests) -> tuple[bool, bool]:
    """Whether the run's digest changed, and the encoder's."""
    return before[0] != after[0], before[1] != after[1]


def test_a_spec_that_names_no_files_has_the_digests_that_it_always_had(tmp_path: Path, plugin_folder: Path) -> None:
    assert digests(tmp_path) == (PLANTED, PLANTED_TRAIN)
    make_plugin(plugin_folder, "filed", "evaluator", options=FILED)
    (cell,) = cells(tmp_path, "evaluate={score={use='filed'}}")
    assert cell.evaluate[0].fingerprint == ""


@pytest.mark.parametrize(
    ("table", "kind", "encoder"),
    [
        ("dataset.sky", "dataset", True),
        ("method.pair", "method", True),
        ("backbone.net", "backbone", True),
        ("evaluate.score", "evaluator", False),
    ],
)
def test_a_file_counts_by_its_content(
    tmp_path: Path, plugin_folder: Path, table: str, kind: str, encoder: bool
) -> None:
    make_plugin(plugin_folder, "filed", kind, options=FILED)
    file = tmp_path / "file"
    overrides = (f"{table}.use=filed", f'{table}.file="{file}"')
    absent = digests(tmp_path, *overrides)
    file.write_bytes(b"one")
    one = digests(tmp_path, *overrides)
    assert changed(absent, one) == (True, encoder)
    os.utime(file, (0, 0))
    assert digests(tmp_path, *overrides) == one
    file.write_bytes(b"two")
    assert changed(one, digests(tmp_path, *overrides)) == (True, encoder)


def test_files_are_looked_at_once_a_spec(tmp_path: Path, plugin_folder: Path) -> None:
    module = make_plugin(plugin_folder, "filed", "dataset", options=FILED)
    several = cells(tmp_path, "run.seeds=[0, 1, 2]", "dataset.sky.use=filed", "dataset.sky.file=here")
    assert len({digest for cell in several for digest in (cell.digest, cell.train_digest, cell.digest)}) == 6
    assert __import__(f"{module}.options", fromlist=["asked"]).asked == ["here"]


@pytest.mark.parametrize("named", ["splits", "splits/labels-class.json"])
def test_published_labels_count_by_their_content(tmp_path: Path, named: str) -> None:
    folder = tmp_path / "splits"
    override = f'labels.index="{tmp_path / named}"'
    absent = digests(tmp_path, override)
    folder.mkdir()
    (folder / "labels-class.json").write_text("{}")
    first = digests(tmp_path, override)
    assert changed(absent, first) == (True, False)
    os.utime(folder / "labels-class.json", (0, 0))
    (folder / "pretraining.json").write_text("none of the labels")
    assert digests(tmp_path, override) == first
    (folder / "labels-class.json").write_text("[]")
    assert changed(first, digests(tmp_path, override)) == (True, False)


@given(st.dictionaries(st.sampled_from("abcd"), st.binary(max_size=3)), st.sampled_from("abcd"), st.binary(max_size=3))
def test_contents_are_names_and_bytes(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], name: str, other: bytes
) -> None:
    def fingerprint(contents: dict[str, bytes]) -> str:
        folder = tmp_path_factory.mktemp("files")
        for one, content in contents.items():
            (folder / one).write_bytes(content)
        return contents_fingerprint(sorted(folder.iterdir()))

    assert (fingerprint(files) == fingerprint({**files, name: other})) == (files.get(name) == other)


def test_a_folder_of_shards_counts_by_its_manifest(tmp_path: Path) -> None:
    assert ShardsOptions(path=str(tmp_path)).fingerprint() == ""  # tars of others
    assert ShardsOptions(path="https://somewhere/shards").fingerprint() == ""
    prints = set()
    for content in ("{}", "[]", "[]"):
        (tmp_path / "manifest.json").write_text(content)
        prints.add(ShardsOptions(path=str(tmp_path)).fingerprint())
    assert len(prints) == 2
