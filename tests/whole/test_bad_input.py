"""Mistakes end with one message, exit code 2, no traceback, and nothing half-written."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from plugin_factory import make_plugin

from deeplense_registry.cli import main


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What the command says on standard error as it exits with 2."""
    assert main([str(word) for word in words]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said.split("Its error:")[0]
    return said


def spec_of(tmp_path: Path, method: str, more: str = "") -> Path:
    path = tmp_path / "spec.toml"
    path.write_text(f"[dataset.lenses]\n\n[method.{method}]\n{more}\n[backbone.levit]\n")
    return path


def test_a_broken_plugin_stops_the_run_that_names_it(
    plugin_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_plugin(plugin_folder, "bad", "method", light="import nonsense_module")
    said = refused(capsys, "run", spec_of(tmp_path, "bad"), "--runs", tmp_path / "runs")
    assert "method 'bad' (fake-bad 0.1) is broken; mend, upgrade or uninstall it. Its error:" in said
    assert "ModuleNotFoundError: No module named 'nonsense_module'" in said
    assert not (tmp_path / "runs").exists()


def test_a_broken_plugin_is_nothing_to_others(
    plugin_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_plugin(plugin_folder, "bad", "method", light="import nonsense_module")
    assert main(["check", str(spec_of(tmp_path, "simclr"))]) == 0


def test_two_plugins_of_one_name(plugin_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_plugin(plugin_folder, "twin", "method", distribution="one-twin")
    make_plugin(plugin_folder, "twin", "method", distribution="other-twin")
    said = refused(capsys, "run", spec_of(tmp_path, "twin"), "--runs", tmp_path / "runs")
    assert 'method "twin" is claimed by one-twin 0.1 and other-twin 0.1: write use = "one-twin:twin"' in said
    assert main(["check", str(spec_of(tmp_path, "twin", 'use = "one-twin:twin"'))]) == 0


def test_a_command_in_place_of_shards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "spec.toml"
    path.write_text('[dataset.x]\nuse = "shards"\npath = "pipe:cat x.tar"\n[method.simclr]\n[backbone.levit]\n')
    said = refused(capsys, "run", path, "--runs", tmp_path / "runs")
    assert '"pipe:cat x.tar" is a command, not data; give the folder or URL of shards' in said


def test_a_checkpoint_of_another_spec(deeplense, tiny: Path, finished: Path, tmp_path: Path) -> None:
    """The folder's manifest is gone, its checkpoints are not."""
    copy = tmp_path / "tiny" / "simclr-levit"
    shutil.copytree(finished, copy)
    (copy / "manifest.json").unlink()
    done = deeplense("run", tiny, "--runs", tmp_path, "--set", "train.epochs=2", code=2)
    assert "checkpoints: the checkpoint at step 18 belongs to another spec (" in done.stderr
    assert (copy / "encoder.safetensors").read_bytes() == (finished / "encoder.safetensors").read_bytes()


def test_a_damaged_manifest(deeplense, tiny: Path, finished: Path, tmp_path: Path) -> None:
    copy = tmp_path / "tiny" / "simclr-levit"
    shutil.copytree(finished, copy)
    (copy / "manifest.json").write_text('{"format": 1, "status"')
    done = deeplense("run", tiny, "--runs", tmp_path, code=2)
    assert f"{copy}/manifest.json: damaged (" in done.stderr
    (copy / "manifest.json").write_text('{"format": 99}')
    done = deeplense("run", tiny, "--runs", tmp_path, code=2)
    assert f"{copy}/manifest.json: format 99, but this version reads 1; run it again in another folder" in done.stderr


def test_a_folder_in_use(deeplense, tiny: Path, finished: Path, environment: dict[str, str]) -> None:
    hold = "import sys, time; from pathlib import Path; from deeplense_registry.engine import RunFolder\n"
    hold += "with RunFolder(Path(sys.argv[1])).locked(): print('held', flush=True); time.sleep(100)"
    other = subprocess.Popen([sys.executable, "-c", hold, finished], stdout=subprocess.PIPE, env=environment)
    assert other.stdout
    other.stdout.readline()
    done = deeplense("run", tiny, "--runs", finished.parents[1], code=2)
    assert done.stderr == f"{finished}: another process is running this; wait for it or stop it\n"
    other.send_signal(signal.SIGKILL)
    other.communicate()


def test_a_failed_write_of_a_checkpoint(
    tiny: Path, finished: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """Files may not grow past a megabyte: the shards are there, the checkpoint is too large."""
    limit = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY)); "
    limit += "from deeplense_registry.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", limit, "run", tiny, "--runs", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 2, done.stderr
    assert ": cannot write the " in done.stderr
    assert "free the disk and run again" in done.stderr
    assert "Traceback" not in done.stderr
    left = [path.name for path in tmp_path.rglob("*.part")]
    assert left == []
