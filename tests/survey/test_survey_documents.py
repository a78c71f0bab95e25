"""What docs/surveys.md tells to type can be typed, and its script does what it says."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from deeplense_registry.cli.main import parser
from deeplense_registry.spec import expand, load_spec

PAGE = Path(__file__).parents[2] / "docs" / "surveys.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("deeplense ")]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_parses(line: str) -> None:
    assert callable(parser().parse_args(shlex.split(line)[1:]).call)


def test_the_spec_has_as_many_cells_as_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "survey.toml").write_text(blocks("toml")[0])
    cells = expand(load_spec(tmp_path / "survey.toml"))
    assert f"({len(cells)} here)" in PAGE.read_text()
    assert f"--array=0-{len(cells) - 1} " in PAGE.read_text()
    assert "dino-levit-s0" in {cell.name for cell in cells}


@pytest.fixture
def slurm(tmp_path: Path) -> subprocess.Popen[bytes]:
    """The script, under commands that write down how they were called; the run takes a moment to save."""
    said = f"echo $(basename $0) $@ >> {tmp_path}/calls"
    run = f"trap 'sleep 0.3; exit 130' TERM; {said}; for i in $(seq 100); do sleep 0.1; done"
    for name, code in (("deeplense", run), ("scontrol", said)):
        (tmp_path / name).write_text(f"#!/bin/bash\n{code}\n")
        (tmp_path / name).chmod(0o755)
    (script,) = blocks("bash")
    (tmp_path / "survey.sh").write_text(script)
    job = {"SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": "3", "SLURM_CPUS_PER_TASK": "8"}
    environment = {**os.environ, **job, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    return subprocess.Popen(["bash", tmp_path / "survey.sh"], env=environment)


def test_the_slurm_script_comes_back_when_its_time_is_over(slurm: subprocess.Popen[bytes], tmp_path: Path) -> None:
    while not (tmp_path / "calls").exists():
        assert slurm.poll() is None
        time.sleep(0.02)
    slurm.send_signal(signal.SIGTERM)
    assert slurm.wait(30) == 130
    assert (tmp_path / "calls").read_text().splitlines() == [
        "deeplense run survey.toml --cell 3 --processes 1",
        "scontrol requeue 77_3",
    ]
    (line,) = [line.strip() for line in blocks("bash")[0].splitlines() if "deeplense run" in line]
    assert parser().parse_args(["run", "survey.toml", "--cell", "3", "--processes", "1"]).cell == ["3"], line
