"""What happens around the cells of a survey: data, skipping, signals."""

from __future__ import annotations

import os
import re
import signal
import threading
from pathlib import Path

import attrs
import pytest

from deeplense_registry.cli.run import chosen
from deeplense_registry.components import UserError
from deeplense_registry.engine import RunFolder
from deeplense_registry.spec import Cell, expand, load_spec
from deeplense_registry.survey import Outcome, Task, cell_of, run_cells, run_tasks, sigterm_interrupts
from deeplense_registry.survey.again import PROGRESS, unseen
from deeplense_registry.survey.attempt import attempt

ABSENT = """\
[run]
seeds = [0, 1]

[dataset.gone]
use = "shards"
path = "no-such-folder"

[method.simclr]

[backbone.levit]
"""


@attrs.frozen
class Foreign:
    """Options of another plugin."""


@pytest.mark.parametrize(
    ("wanted", "positions"),
    [
        (None, [0, 1, 2, 3]),
        (["3", "0"], [0, 3]),
        (["cool-*"], [2, 3]),
        (["*-s1", "simclr-levit-s0"], [0, 1, 3]),
    ],
)
def test_cells_are_chosen_by_names_patterns_and_numbers(
    cells: tuple[Cell, ...], wanted: list[str] | None, positions: list[int]
) -> None:
    assert chosen(cells, wanted) == tuple(cells[at] for at in positions)


@pytest.mark.parametrize("word", ["4", "-1", "simclr", "*-cvt-*"])
def test_a_choice_of_no_cell_is_refused(cells: tuple[Cell, ...], word: str) -> None:
    with pytest.raises(UserError, match=f"--cell {re.escape(word)}: no such cell; this spec has simclr-levit-s0, "):
        chosen(cells, ["0", word])


def test_data_that_cannot_be_had_fail_every_cell_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "absent.toml").write_text(ABSENT)
    told: list[Outcome] = []
    outcomes = run_cells("absent", expand(load_spec(tmp_path / "absent.toml")), tmp_path / "runs", told.append)
    assert [outcome.status for outcome in outcomes] == ["failed", "failed"]
    assert told == outcomes
    assert "no-such-folder" in outcomes[0].error
    assert (tmp_path / "runs" / "absent" / "simclr-levit-s1" / "error.txt").read_text() == outcomes[1].error
    assert capsys.readouterr().err.splitlines() == ["  data gone", "  failed"]


def test_data_whose_plugin_breaks_are_told_with_a_traceback(
    cells: tuple[Cell, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPLENSE_CACHE", str(tmp_path / "cache"))
    broken = attrs.evolve(cells[0].dataset, options=Foreign())
    tasks = [Task(attrs.evolve(cell, dataset=broken), RunFolder(tmp_path / cell.name)) for cell in cells[:2]]
    outcomes = run_tasks(tasks, lambda outcome: None)
    assert [outcome.status for outcome in outcomes] == ["failed", "failed"]
    assert "Traceback" in outcomes[0].error


def test_without_the_progress_observer_it_is_silent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "absent.toml").write_text(ABSENT)
    cells = expand(load_spec(tmp_path / "absent.toml", ['execute.observers=["log"]', "execute.workers=2"]))
    assert [outcome.status for outcome in run_cells("absent", cells, tmp_path / "runs")] == ["failed", "failed"]
    assert capsys.readouterr().err == ""


def test_a_fault_of_a_plugin_is_kept_with_its_traceback_until_all_is_well(
    cells: tuple[Cell, ...], make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPLENSE_CACHE", str(tmp_path / "cache"))
    broken = attrs.evolve(cells[0], dataset=attrs.evolve(cells[0].dataset, options=Foreign()))
    task = Task(unseen(broken), RunFolder(tmp_path / "run"))
    outcome = attempt(task)
    assert outcome.status == "failed"
    assert outcome.error.startswith("Traceback")
    assert task.folder.error.read_text() == outcome.error
    finished = make(cells[0])
    finished.error.write_text("an old story")
    assert attempt(Task(cells[0], finished)).status == "skipped"
    assert not finished.error.exists()


def test_a_finished_survey_does_nothing(
    cells: tuple[Cell, ...], make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for cell in cells:
        make(cell)
    outcomes = run_cells("some", cells, tmp_path / "runs")
    assert [outcome.status for outcome in outcomes] == ["skipped"] * 4
    assert capsys.readouterr().err == ""


def test_a_run_knows_its_cell(cells: tuple[Cell, ...], make) -> None:
    cell = cell_of(make(unseen(cells[3])), processes=1)
    assert (cell.name, cell.digest, cell.seed) == ("cool-levit-s1", cells[3].digest, 1)
    assert PROGRESS in cell.execute.observers
    assert PROGRESS not in unseen(cell).execute.observers


def test_a_spec_of_several_cells_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "spec.toml").write_text(ABSENT)
    with pytest.raises(Exception, match="a run's spec has one cell, this has 2; use deeplense run"):
        cell_of(RunFolder(tmp_path))


def test_sigterm_stops_as_ctrl_c_does() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), sigterm_interrupts():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_signals_are_the_main_threads() -> None:
    entered = []

    def enter() -> None:
        with sigterm_interrupts():
            entered.append(True)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [True]
