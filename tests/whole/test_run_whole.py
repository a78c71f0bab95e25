"""A run from its spec to its table, in real processes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from deeplense_registry import UserError, load_encoder

RESULTS = ("encoder.safetensors", "measurements.json", "replicates.npz")


def assert_same_bytes(one: Path, other: Path) -> None:
    for name in RESULTS:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_the_folder_holds_what_the_design_promises(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()} - {".lock"}
    promised = {
        "spec.toml",
        "manifest.json",
        "checkpoints",
        "log.jsonl",
        "tensorboard",
        "card.json",
        "embeddings",
        "splits",
        *RESULTS,
    }
    assert names == promised
    manifest = json.loads((finished / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    assert {plugin["distribution"] for plugin in manifest["plugins"]} == {
        "deeplense-lenses",
        "deeplense-simclr",
        "deeplense-levit",
        "deeplense-probes",
    }
    assert all(len(plugin["digest"]) == 64 for plugin in manifest["plugins"])


def test_measurements_are_of_both_encoders(finished: Path) -> None:
    rows = json.loads((finished / "measurements.json").read_text())
    assert set(rows[0]) == {
        *("evaluator", "target", "metric", "split", "labels", "encoder", "value", "low", "high", "repeats", "draws")
    }
    assert rows[0]["draws"] == [*range(rows[0]["repeats"])]
    assert {row["encoder"] for row in rows} == {"trained", "untrained"}
    assert {(row["evaluator"], row["target"]) for row in rows} == {("knn", "class"), ("knn", "einstein_radius")}
    assert all(row["low"] <= row["value"] <= row["high"] for row in rows)


def test_one_seed_gives_the_same_bytes(deeplense, tiny: Path, finished: Path, tmp_path: Path) -> None:
    deeplense("run", tiny, "--runs", tmp_path)
    assert_same_bytes(tmp_path / "tiny" / "simclr-levit", finished)


def test_the_resolved_spec_runs_as_it_stands(deeplense, finished: Path) -> None:
    shown = deeplense("check", finished / "spec.toml")
    assert "1 run" in shown.stdout or "simclr-levit" in shown.stdout


def test_another_seed_gives_others(deeplense, tiny: Path, finished: Path, tmp_path: Path) -> None:
    deeplense("run", tiny, "--runs", tmp_path, "--set", "run.seeds=[1]", "--set", "train.epochs=1")
    other = tmp_path / "tiny" / "simclr-levit" / "encoder.safetensors"
    assert other.read_bytes() != (finished / "encoder.safetensors").read_bytes()


def test_micro_batches_change_nothing_but_batch_norm(deeplense, tiny: Path, tmp_path: Path) -> None:
    words = ("--set", "train.epochs=1", "--set", "train.micro_batch=16")
    deeplense("run", tiny, "--runs", tmp_path, *words)
    assert (tmp_path / "tiny" / "simclr-levit" / "measurements.json").exists()


def test_killed_at_random_moments_it_ends_the_same(
    environment: dict[str, str], deeplense, tiny: Path, finished: Path, tmp_path: Path
) -> None:
    """kill -9 three times, at moments spread over training, mid-epoch included; then once more to the end."""
    random_moments = random.Random(7)
    command = [sys.executable, "-m", "deeplense_registry", "run", str(tiny), "--runs", str(tmp_path)]
    checkpoints = tmp_path / "tiny" / "simclr-levit" / "checkpoints"
    stops = []
    for _ in range(3):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_more(checkpoints, process, newest(checkpoints) + random_moments.randint(1, 4))
        time.sleep(random_moments.random() * 0.2)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        stops.append(newest(checkpoints))
    assert any(step % 6 for step in stops), f"no stop fell inside an epoch: {stops}"
    deeplense("run", tiny, "--runs", tmp_path)
    assert_same_bytes(tmp_path / "tiny" / "simclr-levit", finished)


def newest(checkpoints: Path) -> int:
    return max((int(path.stem.removeprefix("step-")) for path in checkpoints.glob("step-*.json")), default=0)


def wait_for_more(checkpoints: Path, process: subprocess.Popen[bytes], step: int) -> None:
    deadline = time.monotonic() + 120
    while newest(checkpoints) < step:
        assert time.monotonic() < deadline
        if process.poll() is not None:
            return
        time.sleep(0.01)


def test_ctrl_c_saves_and_the_same_command_continues(
    environment: dict[str, str], deeplense, tiny: Path, finished: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "deeplense_registry", "run", str(tiny), "--runs", str(tmp_path)]
    command += ["--set", "train.checkpoint_minutes=99"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "tiny" / "simclr-levit" / "log.jsonl"
    while not (log.exists() and '"scalars"' in log.read_text()):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "; the same command continues" in errors
    assert "Traceback" not in errors
    deeplense("run", tiny, "--runs", tmp_path)
    assert_same_bytes(tmp_path / "tiny" / "simclr-levit", finished)


def test_a_finished_run_is_left_alone(deeplense, tiny: Path, finished: Path) -> None:
    before = (finished / "encoder.safetensors").stat().st_mtime_ns
    done = deeplense("run", tiny, "--runs", finished.parents[1])
    assert "finished before, nothing to do" in done.stderr
    assert (finished / "encoder.safetensors").stat().st_mtime_ns == before


def test_other_evaluators_train_nothing_anew(deeplense, tiny: Path, finished: Path, tmp_path: Path) -> None:
    copy = tmp_path / "tiny" / "simclr-levit"
    subprocess.run(["cp", "-r", finished, copy.parent.mkdir(parents=True) or copy], check=True)
    deeplense("run", tiny, "--runs", tmp_path, "--set", "evaluate.knn.k=3")
    assert (copy / "encoder.safetensors").read_bytes() == (finished / "encoder.safetensors").read_bytes()
    assert (copy / "measurements.json").read_bytes() != (finished / "measurements.json").read_bytes()


def test_a_folder_of_another_spec_is_refused(deeplense, tiny: Path, finished: Path) -> None:
    done = deeplense("run", tiny, "--runs", finished.parents[1], "--set", "train.epochs=2", code=2)
    assert f"{finished} holds a run of another spec (" in done.stderr
    assert "choose another run.name or --runs folder, or delete it" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_log_is_json_lines(finished: Path) -> None:
    events = [json.loads(line) for line in (finished / "log.jsonl").read_text().splitlines()]
    steps = [event["step"] for event in events if event["event"] == "scalars"]
    assert steps == [2, 4, 6, 8, 10, 12, 14, 16, 18]
    assert events[-1]["status"] == "finished"


def test_tensorboard_reads_the_run(finished: Path) -> None:
    events = EventAccumulator(str(finished / "tensorboard"))
    events.Reload()
    assert [point.step for point in events.Scalars("train/loss")] == [2, 4, 6, 8, 10, 12, 14, 16, 18]
    assert events.Images("views")[0].width == 8 * 32
    assert events.Scalars("evaluation/knn/class/auroc/trained")
    assert "_hparams_/session_start_info" in events.summary_metadata


def test_the_encoder_loads_and_takes_flux(finished: Path) -> None:
    encoder = load_encoder(finished)
    images = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    features = encoder(images)
    assert features.pooled.shape == (3, encoder.backbone.width)
    assert np.isfinite(features.pooled.detach().numpy()).all()
    assert not encoder.training


def test_a_damaged_encoder_is_refused(finished: Path, tmp_path: Path) -> None:
    for name in ("encoder.safetensors", "card.json"):
        (tmp_path / name).write_bytes((finished / name).read_bytes())
    content = bytearray((tmp_path / "encoder.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "encoder.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"damaged \(its checksum is not the card's\)"):
        load_encoder(tmp_path)


def test_no_encoder_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no encoder here; give the folder of a finished run"):
        load_encoder(tmp_path)


def test_compare_and_runs(deeplense, finished: Path) -> None:
    table = deeplense("compare", finished).stdout
    assert "untrained" in table
    assert "einstein_radius" in table
    assert "finished" in deeplense("runs", "list", "--runs", finished.parents[1]).stdout
    assert "deeplense-simclr" in deeplense("runs", "show", finished).stdout
    shown = json.loads(deeplense("runs", "show", finished, "--json").stdout)
    assert shown["measurements"]


def test_compare_of_nothing_says_so(deeplense, tmp_path: Path) -> None:
    done = deeplense("compare", tmp_path, code=2)
    assert done.stderr == f"{tmp_path}: no run here; give a folder that `deeplense run` made\n"
    done = deeplense("compare", tmp_path / "none", code=2)
    assert done.stderr == f"{tmp_path / 'none'}: no such folder; runs lie in runs/<name>/<cell>\n"
