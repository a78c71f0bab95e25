"""Surveys in real processes: killed, stopped, several at once, and the same bytes in the end."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deeplense_registry.cli import main

SURVEY = """\
[run]
name = "four"
seeds = [0, 1]

[dataset.lenses]
size = 32
train = 128
val = 48
test = 48

[method.simclr]

[method.simsiam]

[backbone.levit]
variant = "128s-s8"

[train]
epochs = 2
batch_size = 32
log_every = 1
precision = "fp32"
threads = 1
checkpoint_minutes = 0.02

[labels]
budgets = [30]
draws = 2

[evaluate.knn]
targets = ["class"]
k = 5
"""

CELLS = ("simclr-levit-s0", "simclr-levit-s1", "simsiam-levit-s0", "simsiam-levit-s1")
RESULTS = ("encoder.safetensors", "measurements.json", "replicates.npz")


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("survey") / "four.toml"
    path.write_text(SURVEY)
    return path


@pytest.fixture(scope="module")
def in_order(deeplense, survey: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The survey's folder, never interrupted; what was said lies beside it."""
    runs = tmp_path_factory.mktemp("in-order")
    done = deeplense("run", survey, "--runs", runs)
    (runs / "said.txt").write_text(done.stderr)
    return runs / "four"


def begin(environment: dict[str, str], survey: Path, runs: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "deeplense_registry", "run", str(survey), "--runs", str(runs), *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def steps(folder: Path) -> int:
    """Steps logged by all runs of a survey together."""
    return sum(path.read_text().count('"scalars"') for path in folder.glob("*/log.jsonl"))


def wait_for_steps(process: subprocess.Popen[str], folder: Path, count: int) -> None:
    deadline = time.monotonic() + 240
    while steps(folder) < count:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def statuses(capsys: pytest.CaptureFixture[str], folder: Path) -> dict[str, str]:
    """How the runs of a survey stand, as the registry lists them."""
    assert main(["runs", "list", "--runs", str(folder), "--json"]) == 0
    return {Path(row["path"]).name: row["status"] for row in json.loads(capsys.readouterr().out)}


def assert_same(folder: Path, other: Path, cells: tuple[str, ...] = CELLS) -> None:
    for cell in cells:
        for name in RESULTS:
            assert (folder / cell / name).read_bytes() == (other / cell / name).read_bytes(), f"{cell}/{name}"
        assert json.loads((folder / cell / "manifest.json").read_text())["status"] == "finished"


def test_the_time_left_is_told_before_the_first_cell_ends(in_order: Path) -> None:
    lines = (in_order.parent / "said.txt").read_text().splitlines()
    told = next(n for n, line in enumerate(lines) if re.match(r"0/4 cells  \d+:\d\d left, and evaluation  ", line))
    ended = lines.index(next(line for line in lines if line.startswith("simclr-levit-s0 finished in ")))
    assert told < ended
    assert any(line.startswith("simsiam-levit-s1 finished in ") and line.endswith("4 of 4 cells") for line in lines)


def test_killed_twice_at_random_moments_it_ends_the_same(
    environment: dict[str, str],
    deeplense,
    survey: Path,
    in_order: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """kill -9 in the first and in the second half of the survey's 32 steps, wherever that falls."""
    moments = random.Random(11)
    for least, most in ((2, 12), (17, 28)):
        process = begin(environment, survey, tmp_path)
        wait_for_steps(process, tmp_path / "four", moments.randint(least, most))
        time.sleep(0.2 * moments.random())
        kill(process)
        assert list(statuses(capsys, tmp_path).values()).count("killed") == 1
    done = deeplense("run", survey, "--runs", tmp_path)
    assert "simclr-levit-s0: finished before, nothing to do" in done.stderr
    assert_same(tmp_path / "four", in_order)


def workers_of(process: subprocess.Popen[str]) -> Iterator[int]:
    """The processes of a survey that are at work on a cell."""
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):  # no process, or gone
            continue
        if parent == process.pid and b"deeplense_registry.survey.worker" in words:
            yield int(entry.name)


def test_two_workers_and_a_killed_one_give_what_in_order_gives(
    environment: dict[str, str], survey: Path, in_order: Path, tmp_path: Path
) -> None:
    """One of the two is killed in the middle of its cell; that is begun again, and the others do not notice."""
    process = begin(environment, survey, tmp_path, "--workers", "2")
    wait_for_steps(process, tmp_path / "four", 3)
    victim, other = workers_of(process)
    os.kill(victim, signal.SIGKILL)
    _, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors
    assert_same(tmp_path / "four", in_order)
    assert "train.threads is not fixed" not in errors
    assert other != victim


def test_ctrl_c_stops_all_workers_and_the_same_command_continues(
    environment: dict[str, str],
    deeplense,
    survey: Path,
    in_order: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One run is continued from its folder alone, the other by the command."""
    words = ("--workers", "2", "--cell", CELLS[0], "--cell", "2")
    process = begin(environment, survey, tmp_path, *words)
    wait_for_steps(process, tmp_path / "four", 2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "stopped; the same command continues" in errors
    assert "Traceback" not in errors
    assert set(statuses(capsys, tmp_path).values()) == {"interrupted"}
    run = tmp_path / "four" / CELLS[0]
    assert f"{run}: finished" in deeplense("resume", run).stdout
    assert json.loads((run / "manifest.json").read_text())["name"] == CELLS[0]
    done = deeplense("run", survey, "--runs", tmp_path, *words)
    assert f"{CELLS[0]}: finished before, nothing to do" in done.stderr
    assert " 2 of 2 cells" in done.stderr
    assert_same(tmp_path / "four", in_order, (CELLS[0], CELLS[2]))


def test_a_cell_that_is_not(deeplense, survey: Path, tmp_path: Path) -> None:
    done = deeplense("run", survey, "--runs", tmp_path, "--cell", "4", code=2)
    assert f"--cell 4: no such cell; this spec has {', '.join(CELLS)}" in done.stderr


def test_workers_leave_with_a_killed_parent(environment: dict[str, str], survey: Path, tmp_path: Path) -> None:
    process = begin(environment, survey, tmp_path, "--workers", "2")
    deadline = time.monotonic() + 60
    while len(workers := list(workers_of(process))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    kill(process)
    while any(Path(f"/proc/{worker}/cmdline").exists() and alive(worker) for worker in workers):
        assert time.monotonic() < deadline + 60
        time.sleep(0.05)


def alive(process: int) -> bool:
    """Whether it is more than a corpse."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_half_written_run_is_recorded_and_the_rest_goes_on(
    deeplense, survey: Path, in_order: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of one run the manifest is cut off, of another there is none yet; the other two are finished."""
    folder = tmp_path / "four"
    shutil.copytree(in_order, folder)
    manifest = folder / CELLS[1] / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:100])
    for path in (folder / CELLS[2]).iterdir():
        if path.name not in ("spec.toml", ".lock"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert main(["runs", "show", str(folder / CELLS[2])]) == 2
    shown = capsys.readouterr().err
    assert "a run that was stopped before it began (there is no manifest.json): run its spec again" in shown
    done = deeplense("run", survey, "--runs", tmp_path, code=1)
    assert f"{CELLS[1]} failed: {manifest}: damaged (" in done.stderr
    assert f"delete the folder {manifest.parent} and run again" in done.stderr
    assert "Traceback" not in done.stderr
    assert "1 of 4 cells failed; run the same command to try them again" in done.stderr
    assert (manifest.parent / "error.txt").read_text().startswith(f"{manifest}: damaged (")
    assert (folder / CELLS[2] / "encoder.safetensors").read_bytes() == (
        in_order / CELLS[2] / "encoder.safetensors"
    ).read_bytes()
    assert statuses(capsys, tmp_path) == {cell: "damaged" if cell == CELLS[1] else "finished" for cell in CELLS}


def test_a_run_reproduces(deeplense, in_order: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("runs", "reproduce", in_order / CELLS[2], "--into", tmp_path, "--anyway")
    assert deeplense(*words).stdout.endswith("equal: the encoder and every measurement, to the last bit\n")
    assert main([str(word) for word in words]) == 2
    assert f"{tmp_path / 'four' / CELLS[2]}: a finished run lies there already" in capsys.readouterr().err
