"""Runs are found, filtered, ranked, compared and tidied."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from deeplense_registry import UserError
from deeplense_registry.cli import main
from deeplense_registry.engine import RunFolder
from deeplense_registry.interfaces import Measurement
from deeplense_registry.spec import Cell
from deeplense_registry.survey import Garbage, Wanted, at_work, delete, entry, find_runs, garbage, rank, select
from deeplense_registry.survey.reproduce import against


def measured(value: float, metric: str = "auroc", labels: int = 30, encoder: str = "trained") -> Measurement:
    target = "class" if metric == "auroc" else "einstein_radius"
    ends = {"low": value - 0.01, "high": value + 0.01}
    where = {"evaluator": "knn", "target": target, "metric": metric, "labels": labels, "encoder": encoder}
    return Measurement(value=value, **ends, **where)


@pytest.fixture
def four(cells: tuple[Cell, ...], make) -> list[RunFolder]:
    """Four runs, each a little better than the one before; the last with the most labels only."""
    runs = []
    for n, cell in enumerate(cells):
        rows = [measured(0.6 + n / 10, labels=30 if n < 3 else 300), measured(0.99, encoder="untrained")]
        runs.append(make(cell, [*rows, measured(0.5 - n / 10, "mae"), measured(n - 1.4, "median_bias")]))
    return runs


def listed(capsys: pytest.CaptureFixture[str], *words: object) -> list[dict[str, object]]:
    assert main(["runs", "list", *map(str, words), "--json"]) == 0
    rows: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return rows


def names(rows: list[dict[str, object]]) -> list[str]:
    return [Path(str(row["path"])).name for row in rows]


def test_filters_take_the_name_of_the_table_or_of_the_plugin(
    four: list[RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = ("--runs", tmp_path / "runs")
    assert names(listed(capsys, *runs, "--method", "cool")) == ["cool-levit-s0", "cool-levit-s1"]
    assert len(listed(capsys, *runs, "--method", "simclr", "--backbone", "levit", "--dataset", "lenses")) == 4
    assert listed(capsys, *runs, "--method", "dino") == []
    assert listed(capsys, *runs, "--status", "failed") == []
    assert main(["runs", "list", "--runs", str(tmp_path / "runs"), "--method", "dino"]) == 0
    assert capsys.readouterr().out == "no run is as asked\n"


@pytest.mark.parametrize(
    ("metric", "best"),
    [
        ("knn/class/auroc", ["cool-levit-s1", "cool-levit-s0", "simclr-levit-s1", "simclr-levit-s0"]),
        ("knn/class/auroc/30", ["cool-levit-s0", "simclr-levit-s1", "simclr-levit-s0"]),
        ("knn/einstein_radius/mae", ["cool-levit-s1", "cool-levit-s0", "simclr-levit-s1", "simclr-levit-s0"]),
        ("knn/einstein_radius/median_bias", ["simclr-levit-s1", "cool-levit-s0", "simclr-levit-s0", "cool-levit-s1"]),
    ],
)
def test_a_metric_puts_the_best_first(
    four: list[RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str], metric: str, best: list[str]
) -> None:
    """The cells are simclr s0, simclr s1, cool s0, cool s1; a bias is best near 0."""
    found = names(listed(capsys, "--runs", tmp_path / "runs", "--metric", metric))
    assert found == best
    assert len(listed(capsys, "--runs", tmp_path / "runs", "--metric", metric, "--top", 2)) == 2


def test_a_table_shows_the_metric(four: list[RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "list", "--runs", str(tmp_path / "runs"), "--metric", "knn/class/auroc", "--top", "1"]) == 0
    assert "0.900 (0.890 0.910)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--metric", "auroc"], "--metric auroc: write EVALUATOR/TARGET/METRIC or .../LABELS"),
        (["--metric", "knn/class/auroc/few"], "write EVALUATOR/TARGET/METRIC"),
        (["--metric", "knn/class/f1"], "no run measured that; there is knn/class/auroc, knn/einstein_radius/mae, "),
        (["--top", "0"], "--top 0: give 1 or more"),
    ],
)
def test_what_cannot_be_listed(
    four: list[RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["runs", "list", "--runs", str(tmp_path / "runs"), *words]) == 2
    assert message in capsys.readouterr().err


def test_how_runs_stand(cells: tuple[Cell, ...], make, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    killed = make(cells[0], status="running")
    held = make(cells[1], status="running")
    collapsed = make(cells[2], collapsed=True)
    damaged = make(cells[3])
    (damaged.path / "manifest.json").write_text('{"format": 1, "sta')
    with held.locked():
        assert at_work(held)
        assert [entry(run).status for run in (killed, held, collapsed)] == ["killed", "running", "finished, collapsed"]
    assert not at_work(held)
    assert entry(damaged).status == "damaged"
    assert len(select(map(entry, find_runs([tmp_path])), status="collapsed")) == 1
    assert main(["runs", "list", "--runs", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "damaged" in said.out
    assert f"{damaged.path}/manifest.json: damaged (" in said.err
    for words in (["show", damaged.path], ["diff", damaged.path, killed.path], ["reproduce", damaged.path]):
        assert main(["runs", *map(str, words)]) == 2
        assert "manifest.json: damaged (" in capsys.readouterr().err


def test_a_manifest_of_something_else_is_no_run(make, cells: tuple[Cell, ...]) -> None:
    run = make(cells[0])
    (run.path / "manifest.json").write_text('{"format": 1, "splits": {}}')
    assert entry(run).problem == f"{run.path}/manifest.json is no run's manifest"


def test_a_failed_run_shows_why(make, cells: tuple[Cell, ...], capsys: pytest.CaptureFixture[str]) -> None:
    run = make(cells[0], status="failed")
    run.error.write_text("no luck\n")
    assert main(["runs", "show", str(run.path)]) == 0
    assert "error     no luck" in capsys.readouterr().out


def test_ranking_reads_no_damaged_run(four: list[RunFolder]) -> None:
    (four[0].path / "manifest.json").write_text("{")
    assert len(rank([entry(run) for run in four], Wanted.parse("knn/class/auroc"))) == 3


def test_diff_shows_only_what_differs(
    cells: tuple[Cell, ...], make, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    one = make(cells[0], [measured(0.5), measured(0.25, "mae")])
    changed = attrs.evolve(cells[2], train=attrs.evolve(cells[2].train, epochs=3))
    plugins = (one.manifest() or {})["plugins"]
    plugins[1] = {**plugins[1], "digest": "f" * 64}
    other = make(changed, [measured(0.5 + 1e-9), measured(0.25, "mae")], plugins=plugins, shards="a" * 64)
    assert main(["runs", "diff", str(one.path), str(other.path), "--json"]) == 0
    found = {(row["part"], row["name"]): (row["one"], row["other"]) for row in json.loads(capsys.readouterr().out)}
    assert found.pop(("results", "knn/class/auroc/test/30/trained"))[1].startswith("(0.500000001, ")
    assert found.pop(("plugins", "method simclr")) == ("simclr 1 simclrsimclr", "simclr 1 ffffffffffff")
    assert found.pop(("spec", "train.epochs")) == ("2", "3")
    assert found.pop(("spec", "method.cool.temperature")) == ("-", "0.1")
    assert found.pop(("data", "shards")) == ("d" * 64, "a" * 64)
    assert {name for part, name in found if part == "spec"} >= {"method.simclr.temperature"}
    assert {part for part, _ in found} == {"spec"}
    assert main(["runs", "diff", str(one.path), str(other.path)]) == 0
    assert "train.epochs" in capsys.readouterr().out
    assert main(["runs", "diff", str(one.path), str(one.path)]) == 0
    assert capsys.readouterr().out == "nothing differs\n"


def test_diff_wants_single_runs(four: list[RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "diff", str(tmp_path / "runs"), str(four[0].path)]) == 2
    assert "4 runs here; give one of them" in capsys.readouterr().err
    (four[0].path / "spec.toml").unlink()
    assert main(["runs", "diff", str(four[0].path), str(four[1].path)]) == 2
    assert "cannot read the run's spec" in capsys.readouterr().err


def test_reproduce_stops_at_other_plugins(four: list[RunFolder], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "reproduce", str(four[0].path)]) == 2
    said = capsys.readouterr()
    assert "method simclr" in said.out
    assert "deeplense-registry cccccccccccc" in said.out
    assert "made with what is listed above; install that, or say --anyway" in said.err


def test_reproduce_wants_a_finished_run(make, cells: tuple[Cell, ...], capsys: pytest.CaptureFixture[str]) -> None:
    run = make(cells[0], status="interrupted")
    assert main(["runs", "reproduce", str(run.path)]) == 2
    assert f"{run.path}: interrupted, not finished; deeplense resume continues it" in capsys.readouterr().err


def test_resume_wants_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resume", str(tmp_path / "nothing")]) == 2
    assert "no spec.toml here, so no run was begun" in capsys.readouterr().err


def test_a_reproduction_that_differs_names_what(
    cells: tuple[Cell, ...], make, capsys: pytest.CaptureFixture[str]
) -> None:
    one = make(cells[0], [measured(0.5)], hardware={"cpu_capability": "AVX2"})
    other = make(cells[0], [measured(0.5 + 1e-12)], runs="again", hardware={"cpu_capability": "AVX512"})
    found = {(one.part, one.name) for one in against(one, other)}
    assert found == {("results", "knn/class/auroc/test/30/trained"), ("surroundings", "hardware.cpu_capability")}
    assert against(one, one) == []


def test_what_the_disk_will_not_let_go(make, cells: tuple[Cell, ...]) -> None:
    run = make(cells[0])
    with pytest.raises(UserError, match=r"manifest.json/x: cannot delete"):
        delete(Garbage(run, run.path / "manifest.json" / "x", "", 0))


def littered(make, cells: tuple[Cell, ...], tmp_path: Path) -> RunFolder:
    run: RunFolder = make(cells[0])
    for name in ("step-00000010.pt", "step-00000010.json", "step-00000020.pt", "step-00000020.json", "collapse.json"):
        (run.checkpoints / name).parent.mkdir(exist_ok=True)
        (run.checkpoints / name).write_text("0" * 100)
    (run.embeddings / "trained").mkdir(parents=True)
    (run.embeddings / "trained" / "test.npy").write_text("0" * 1000)
    (run.path / ".card.json.123.part").write_text("0" * 10)
    make(cells[1], status="interrupted")
    (tmp_path / "runs" / "some" / cells[1].name / "checkpoints").mkdir()
    (tmp_path / "runs" / "some" / cells[1].name / "checkpoints" / "step-00000001.pt").write_text("0")
    half = tmp_path / "runs" / "some" / "half"
    half.mkdir()
    (half / ".lock").touch()
    (half / "spec.toml").write_text("0" * 7)
    return run


def test_gc_lists_and_then_deletes(
    make, cells: tuple[Cell, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = littered(make, cells, tmp_path)
    runs = ("--runs", str(tmp_path / "runs"))
    assert main(["runs", "gc", *runs]) == 0
    said = capsys.readouterr().out
    assert "1,217 bytes in all; --yes deletes them" in said
    assert "(stopped before it began)" in said
    assert (tmp_path / "runs" / "some" / "half").exists()
    assert main(["runs", "gc", *runs, "--yes"]) == 0
    assert capsys.readouterr().out.endswith("1,217 bytes freed\n")
    left = {path.name for path in run.path.rglob("*") if path.is_file()} - {".lock"}
    assert left == {"manifest.json", "spec.toml", "step-00000020.pt", "step-00000020.json", "collapse.json"}
    assert (tmp_path / "runs" / "some" / cells[1].name / "checkpoints" / "step-00000001.pt").exists()
    assert not (tmp_path / "runs" / "some" / "half").exists()
    assert main(["runs", "gc", *runs]) == 0
    assert capsys.readouterr().out == "nothing to delete\n"


def test_gc_takes_what_runs_share_when_all_are_finished(make, cells: tuple[Cell, ...]) -> None:
    run, shared = make(cells[0]), make(cells[1], status="interrupted").path.parent / ".shared"
    shared.mkdir()
    (shared / "supervised.npy").write_text("0" * 50)
    assert garbage(run.path) == []
    assert garbage(shared.parent) == []
    make(cells[1])
    with run.locked():
        assert garbage(shared.parent) == []
    assert [(found.path, found.bytes) for found in garbage(shared.parent)] == [(shared, 50)]
    assert delete(garbage(shared.parent)[0]) == 50
    assert not shared.exists()


def test_gc_leaves_runs_at_work_and_foreign_folders_alone(make, cells: tuple[Cell, ...], tmp_path: Path) -> None:
    run = littered(make, cells, tmp_path)
    (tmp_path / "runs" / "some" / "half" / "thesis.tex").touch()
    with run.locked():
        assert garbage(tmp_path) == []
    with pytest.raises(UserError, match="no such folder"):
        garbage(tmp_path / "nowhere")


def test_a_half_written_run_has_its_own_message(tmp_path: Path) -> None:
    half = tmp_path / "runs" / "half"
    half.mkdir(parents=True)
    (half / ".lock").touch()
    for path in (half, tmp_path):
        with pytest.raises(
            UserError, match=r"half: a run that was stopped before it began \(there is no manifest.json\)"
        ):
            find_runs([path])
    (half / "notes.txt").touch()
    with pytest.raises(UserError, match="no run here"):
        find_runs([half])
    with pytest.raises(UserError, match="no such folder"):
        find_runs([tmp_path / "nowhere"])
