"""Cells in processes of their own: what becomes of those that fail, die, or are told to stop."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from deeplense_registry.engine import Interrupted, RunFolder
from deeplense_registry.spec import Cell, ExecuteTable
from deeplense_registry.survey import InOrder, LocalProcesses, Task, processes
from deeplense_registry.survey.attempt import FAILED
from deeplense_registry.survey.processes import cores, threads


def stand_in(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Workers run this code; ``folder`` is the cell's, standard input holds its spec."""
    head = "import os, signal, sys, time, pathlib; folder = pathlib.Path(sys.argv[1])\n"
    monkeypatch.setattr(processes, "COMMAND", (sys.executable, "-c", head + code))


def run(cells: tuple[Cell, ...], folder: Path, count: int = 2) -> dict[str, tuple[str, str]]:
    execution = LocalProcesses(count)
    for cell in cells:
        execution.submit(Task(cell, RunFolder(folder / cell.name)))
    found = {outcome.cell.name: (outcome.status, outcome.error) for outcome in execution.results()}
    assert execution.running() == ()
    return found


def test_each_gets_its_own_spec(cells: tuple[Cell, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "(folder / 'got').write_bytes(sys.stdin.buffer.read(int(sys.argv[2])))")
    assert set(run(cells, tmp_path).values()) == {("finished", "")}
    got = (tmp_path / "cool-levit-s1" / "got").read_text()
    assert "temperature = 0.1" in got
    assert "seeds = [\n    1,\n]" in got


def test_no_more_at_once_than_asked(cells: tuple[Cell, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "(folder.parent / f'{os.getpid()}.at').touch(); print(len(list(folder.parent.glob('*.at'))), flush=True)\n"
    stand_in(monkeypatch, code + "time.sleep(0.3); (folder.parent / f'{os.getpid()}.at').unlink()")
    run(cells, tmp_path, count=2)
    at_once = [int((tmp_path / cell.name / "worker.log").read_text()) for cell in cells]
    assert max(at_once) == 2


def test_a_failure_is_told_in_its_words(
    cells: tuple[Cell, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"if 'cool' in folder.name: (folder / 'error.txt').write_text('too cool'); sys.exit({FAILED})"
    stand_in(monkeypatch, code)
    found = run(cells, tmp_path)
    assert found["cool-levit-s0"] == ("failed", "too cool")
    assert found["simclr-levit-s0"] == ("finished", "")


def test_a_process_that_dies_once_is_begun_again(
    cells: tuple[Cell, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "once = folder / 'once'\nif not once.exists(): once.touch(); os.kill(os.getpid(), signal.SIGKILL)"
    stand_in(monkeypatch, code)
    assert set(run(cells, tmp_path).values()) == {("finished", "")}


def test_a_process_that_always_dies_is_reported(
    cells: tuple[Cell, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "print('dying', flush=True); os.kill(os.getpid(), signal.SIGKILL)")
    found = run(cells[:1], tmp_path)
    folder = tmp_path / cells[0].name
    status, error = found[cells[0].name]
    assert status == "failed"
    assert error == f"its process died 2 times, at last by SIGKILL; see {folder}/worker.log"
    assert (folder / "error.txt").read_text() == error
    assert (folder / "worker.log").read_text() == "dying\ndying\n"


def test_a_process_that_leaves_at_once_is_reported(
    cells: tuple[Cell, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "os._exit(7)")
    assert "at last with exit code 7" in run(cells[:1], tmp_path)[cells[0].name][1]


def test_sigterm_asks_every_process_to_stop(
    cells: tuple[Cell, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "def stop(*_): (folder / 'saved').touch(); sys.exit(130)\nsignal.signal(signal.SIGINT, stop)\n"
    code += f"os.kill({os.getpid()}, signal.SIGTERM)\ntime.sleep(60)"
    stand_in(monkeypatch, code)
    with pytest.raises(Interrupted, match="stopped"):
        run(cells[1:2], tmp_path)
    assert (tmp_path / cells[1].name / "saved").exists()


def test_whoever_gives_up_leaves_no_process(
    cells: tuple[Cell, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "if 's0' in folder.name: sys.exit(0)\ntime.sleep(60)")
    execution = LocalProcesses(2)
    for cell in cells[:2]:
        execution.submit(Task(cell, RunFolder(tmp_path / cell.name)))
    results = execution.results()
    assert next(results).cell is cells[0]
    (worker,) = execution._workers
    results.close()
    assert worker.process.returncode == -9


def test_threads_are_shared_unless_the_spec_or_the_user_fixes_them(
    cells: tuple[Cell, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import attrs

    fixed = Task(cells[0], RunFolder(tmp_path))
    free = attrs.evolve(fixed, cell=attrs.evolve(cells[0], train=attrs.evolve(cells[0].train, threads=None)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert threads(fixed, 2) == {}
    assert threads(free, 1)["OMP_NUM_THREADS"] == str(cores())
    assert threads(free, 10_000)["OPENBLAS_NUM_THREADS"] == "1"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads(free, 2) == {}


def test_in_order_records_a_refusal_and_goes_on(cells: tuple[Cell, ...], make, tmp_path: Path) -> None:
    """Two folders hold finished runs of other specs: both are refused, neither stops the other."""
    execution = InOrder()
    for cell in cells[:2]:
        execution.submit(Task(cell, make(cell, train_digest="0" * 64)))
    outcomes = list(execution.results())
    assert [outcome.status for outcome in outcomes] == ["failed", "failed"]
    assert "holds a run of another spec (000000000000, not" in outcomes[1].error
    assert outcomes[1].folder.error.read_text() == outcomes[1].error
    assert execution.running() == ()


def test_one_worker_is_the_default() -> None:
    assert ExecuteTable().workers == 1
    with pytest.raises(ValueError, match="workers"):
        ExecuteTable(workers=0)
