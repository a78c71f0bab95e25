"""``deeplense tensorboard``: runs of several folders side by side, read back from a server that is really started."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import numpy as np
import pytest

from deeplense_registry import UserError
from deeplense_registry.cli import main
from deeplense_registry.cli.tensorboard import lay_out, names
from deeplense_registry.engine.folder import RunFolder
from deeplense_registry.engine.observers.tensorboard import TensorBoard
from deeplense_registry.interfaces import Measurement
from deeplense_registry.spec.write import to_toml

Json = Any


def watched(path: Path, method: str, value: float, **options: float) -> RunFolder:
    """A run as an engine leaves it with the observer "tensorboard"."""
    table = {"use": method, f"of_{method}": 1.5, **options}
    spec: Json = {"run": {"name": path.parent.name, "seeds": [0]}, "method": {path.name.partition("-")[0]: table}}
    spec["train"] = {"probe": ["class"], "epochs": 2}
    run = RunFolder(path)
    run.write_manifest({"name": path.name, "status": "finished", "train_digest": "ef" * 32, "method": method})
    (path / "spec.toml").write_text(to_toml(spec))
    one = Measurement(
        evaluator="linear", target="class", metric="auroc", labels=30, encoder="trained", value=value, low=0.0, high=1.0
    )
    observer = TensorBoard()
    observer.run_started(folder=path, spec=spec)
    observer.training_started(step=0)
    observer.scalars(step=4, values={"loss_over_chance": 0.5})
    vectors = np.eye(4, dtype=np.float32)
    thumbnails = np.full((4, 5, 5), 0.5, np.float32)
    observer.projector(
        name="trained/map", vectors=vectors, labels={"class": list("abab")}, thumbnails=thumbnails, step=4
    )
    observer.measurement(measurement=one)
    observer.run_ended(status="finished")
    run.write_measurements([one])
    return run


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("runs")
    watched(root / "first" / "dino-cvt", "dino", 0.75, momentum=0.5)
    watched(root / "first" / "slow-cvt", "dino", 0.5, momentum=0.75)
    watched(root / "second" / "simclr-cvt", "simclr", 0.875)
    return [root / "first", root / "second"]


class Server:
    def __init__(self, *runs: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [sys.executable, "-m", "deeplense_registry", "tensorboard", *map(str, runs), "--port", str(self.port)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)

    def get(self, path: str, body: Json = None, **query: str) -> bytes:
        address = f"http://127.0.0.1:{self.port}/data/{path}?{urlencode(query)}"
        content = None if body is None else json.dumps(body).encode()
        with urlopen(Request(address, content, {"Content-Type": "application/json"}), timeout=20) as answer:
            return bytes(answer.read())

    def wait_for(self, path: str, count: int) -> Json:
        """The answer, once the server has read as many runs."""
        for _ in range(240):
            try:
                if len(found := json.loads(self.get(path))) >= count:
                    return found
            except URLError:
                assert self.process.poll() is None, self.process.communicate()[1]
            time.sleep(0.5)
        raise AssertionError(f"{path} has not {count} entries")


def test_the_server_shows_runs_side_by_side(folders: list[Path]) -> None:
    server = Server(*folders)
    try:
        found = server.wait_for("plugin/scalars/tags", 3)
        assert {"first/dino-cvt", "second/simclr-cvt"} <= set(found)
        assert "train/loss_over_chance" in found["first/dino-cvt"]
        layout = json.loads(server.get("plugin/custom_scalars/layout"))
        assert [category["title"] for category in layout["category"]] == ["methods side by side"]
        charts = [chart["title"] for chart in layout["category"][0]["chart"]]
        assert charts[:2] == ["loss over chance", "class, linear probe"]
        experiment = json.loads(server.get("plugin/hparams/experiment", {"experimentName": ""}))
        options = [info["name"] for info in experiment["hparamInfos"]]
        assert options[:3] == ["method", "method.dino.momentum", "run.name"]  # what differs among those that have it
        assert {"method.simclr.of_simclr", "train.epochs"} < set(options[3:])
        assert [info["name"]["tag"] for info in experiment["metricInfos"]] == ["metric/linear/class/auroc/30"]
        assert "first/dino-cvt" in server.wait_for("plugin/projector/runs", 3)
        space = json.loads(server.get("plugin/projector/info", run="second/simclr-cvt"))["embeddings"][0]
        sprite = server.get("plugin/projector/sprite_image", run="second/simclr-cvt", name=space["tensorName"])
        assert sprite.startswith(b"\x89PNG")
        sessions = server.get("plugin/hparams/session_groups", _all_sessions(options))
        values = {one["name"]: one["metricValues"][0]["value"] for one in _sessions(json.loads(sessions))}
        assert values == {"first/dino-cvt": 0.75, "first/slow-cvt": 0.5, "second/simclr-cvt": 0.875}
    finally:
        server.process.send_signal(signal.SIGTERM)
        said = server.process.communicate(timeout=60)[1]
    (port,) = re.findall(r"http://localhost:(\d+)", said)
    assert int(port) == server.port


def _all_sessions(options: list[str]) -> Json:
    columns = [{"hparam": name} for name in options] + [
        {"metric": {"tag": "metric/linear/class/auroc/30", "group": ""}}
    ]
    return {
        "experimentName": "",
        "colParams": columns,
        "startIndex": 0,
        "sliceSize": 100,
        "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"],
    }


def _sessions(answer: Json) -> list[Json]:
    return [session for group in answer["sessionGroups"] for session in group["sessions"]]


def test_runs_are_named_from_where_they_part(tmp_path: Path) -> None:
    one, two, other = tmp_path / "a" / "x", tmp_path / "a" / "y", tmp_path / "b" / "x"
    assert names([one]) == ["x"]
    assert names([one, two]) == ["x", "y"]
    assert names([one, two, other]) == ["a/x", "a/y", "b/x"]


def test_links_lead_to_the_files_and_runs_without_are_named(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = RunFolder(tmp_path / "bare")
    bare.write_manifest({"status": "running"})
    run = RunFolder(folders[0] / "dino-cvt")
    (tmp_path / "board").mkdir()
    lay_out([run, bare], tmp_path / "board")
    assert (tmp_path / "board" / "dino-cvt").resolve() == (run.path / "tensorboard").resolve()
    assert f"warning: {bare.path}: nothing for TensorBoard" in capsys.readouterr().err


def test_runs_without_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tensorboard", str(tmp_path)]) == 2
    assert "no run here" in capsys.readouterr().err
    RunFolder(tmp_path / "bare").write_manifest({"status": "running"})
    assert main(["tensorboard", str(tmp_path)]) == 2
    assert "no run has files for TensorBoard" in capsys.readouterr().err


def test_a_run_whose_spec_cannot_be_read_is_named(tmp_path: Path) -> None:
    run = watched(tmp_path / "runs" / "a", "dino", 0.5)
    (run.path / "spec.toml").write_text("[run")
    (tmp_path / "board").mkdir()
    with pytest.raises(UserError, match=r"spec\.toml: cannot be read"):
        lay_out([run], tmp_path / "board")
