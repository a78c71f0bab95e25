"""Observers watch; none may change or stop a run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image
from plugin_factory import make_plugin
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from deeplense_registry import Measurement, PluginError, UserError, hookimpl
from deeplense_registry.engine.observers import Observers, observers_of
from deeplense_registry.engine.observers.log import Log
from deeplense_registry.engine.observers.progress import ProgressBar
from deeplense_registry.engine.observers.tensorboard import TensorBoard


class Recorder:
    def __init__(self) -> None:
        self.seen: list[tuple[str, object]] = []

    @hookimpl
    def phase(self, name: str) -> None:
        self.seen.append(("phase", name))

    @hookimpl
    def scalars(self, step: int, values: dict[str, float]) -> None:
        self.seen.append(("scalars", step))


class Failing(Recorder):
    @hookimpl
    def phase(self, name: str) -> None:
        raise RuntimeError("no network")


def test_a_failing_observer_is_dropped_and_the_others_go_on() -> None:
    good, bad = Recorder(), Failing()
    observers = Observers([bad, good])
    with pytest.warns(UserWarning, match=r"observer Failing failed and is dropped:\n(.|\n)*RuntimeError: no network"):
        observers.phase(name="data")
    observers.scalars(step=1, steps=2, values={})
    assert good.seen == [("phase", "data"), ("scalars", 1)]
    assert bad.seen == []


def test_a_hook_that_fits_none_is_refused() -> None:
    class Wrong:
        @hookimpl
        def phase(self, nonsense: str) -> None: ...

    with pytest.raises(UserError, match="observer Wrong: "):
        Observers([Wrong()])


def test_a_plugin_adds_an_observer(plugin_folder: Path) -> None:
    implementation = """
    from deeplense_registry import hookimpl

    class Implementation:
        def __init__(self, options): self.seen = []
        @hookimpl
        def phase(self, name): self.seen.append(name)
    """
    make_plugin(plugin_folder, "watcher", "observer", implementation=implementation)
    observers = observers_of(["watcher"])
    observers.phase(name="data")
    (instance,) = observers._manager.get_plugins()
    assert instance.seen == ["data"]
    with pytest.raises(PluginError, match='observer "nobody" is not installed'):
        observers_of(["nobody"])


def test_the_log_forgets_steps_that_are_taken_again(tmp_path: Path) -> None:
    first = Log()
    first.run_started(folder=tmp_path)
    first.training_started(steps=9, step=0)
    for step in (2, 4, 6):
        first.scalars(step=step, values={"loss": 1.0})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"time": 1, "ev')  # killed in the middle of a line
    again = Log()
    again.run_started(folder=tmp_path)
    again.training_started(steps=9, step=4)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["event"] == "scalars"] == [2, 4]


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_says_what_happens(terminal: bool, capsys: pytest.CaptureFixture[str]) -> None:
    bar = ProgressBar()
    bar._console = Console(force_terminal=terminal, width=120)
    bar.run_started(folder=Path("cell"))
    bar.phase(name="data")
    bar.progress(done=5, total=None)
    bar.progress(done=10, total=10)
    bar.training_started(steps=4, step=2)
    bar.scalars(step=4, steps=4, values={"loss": 1.25, "images_per_second": 100.0})
    bar.run_ended(status="finished")
    said = capsys.readouterr().out
    for text in ("cell", "data", "continued after step 2 of 4", "loss 1.250  100 images/s", "finished"):
        assert text in said


SPEC = {
    "run": {"name": "tiny", "seeds": [3]},
    "dataset": {"lenses": {"use": "lenses", "train": 192}},
    "method": {"simclr": {"use": "simclr", "temperature": 0.2, "layers": [1, 2]}},
    "backbone": {"levit": {"use": "levit"}},
    "train": {"epochs": 2, "reproducible": False, "probe": ["class"]},
}


def watched(folder: Path, status: str = "finished") -> EventAccumulator:
    """What TensorBoard reads of a run that a :class:`TensorBoard` watched."""
    observer = TensorBoard()
    observer.run_started(folder=folder, spec=SPEC)
    observer.training_started(step=0)
    observer.scalars(step=4, values={"loss": 2.0, "loss_over_chance": 0.5, "online/class/linear": 0.75})
    observer.warning(text="it collapses")
    observer.picture(name="trained/gallery", image=np.full((6, 8), 0.5, np.float32), step=4)
    vectors, thumbnails = np.eye(5, dtype=np.float32), np.linspace(0, 1, 5 * 4 * 4, dtype=np.float32).reshape(5, 4, 4)
    labels = {"class": list("aabbb"), "name": list("vwxyz")}
    observer.projector(name="trained/map", vectors=vectors, labels=labels, thumbnails=thumbnails, step=4)
    for encoder, value in (("trained", 0.875), ("untrained", 0.625)):
        names = {"evaluator": "linear", "target": "class", "metric": "auroc", "encoder": encoder, "labels": 30}
        observer.measurement(measurement=Measurement(value=value, low=0.5, high=1.0, **names))
    observer.run_ended(status=status)
    read = EventAccumulator(str(folder / "tensorboard"))
    read.Reload()
    return read


def test_tensorboard_reads_curves_pictures_and_texts(tmp_path: Path) -> None:
    read = watched(tmp_path)
    curves = {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}
    assert curves["train/loss_over_chance"] == [(4, 0.5)]
    assert curves["train/online/class/linear"] == [(4, 0.75)]
    assert curves["evaluation/linear/class/auroc/trained"] == [(30, 0.875)]
    assert curves["evaluation/linear/class/auroc/untrained"] == [(30, 0.625)]
    (picture,) = read.Images("trained/gallery")
    assert (picture.step, picture.width, picture.height) == (4, 8, 6)
    texts = {tag: read.Tensors(tag)[0].tensor_proto.string_val[0] for tag in read.Tags()["tensors"] if "text" in tag}
    assert texts == {"warning/text_summary": b"it collapses", "status/text_summary": b"finished"}


def test_tensorboard_has_every_option_beside_the_headlines(tmp_path: Path) -> None:
    read = watched(tmp_path)
    contents = read.SummaryMetadata(hparams.SESSION_START_INFO_TAG).plugin_data.content
    options = {
        name: value.string_value or value.number_value
        for name, value in hparams.parse_session_start_info_plugin_data(contents).hparams.items()
    }
    assert options == {
        "dataset": "lenses",
        "method": "simclr",
        "backbone": "levit",
        "seed": 3.0,
        "run.name": "tiny",
        "run.seeds": "[3]",
        "dataset.lenses.use": "lenses",
        "dataset.lenses.train": 192.0,
        "method.simclr.use": "simclr",
        "method.simclr.temperature": 0.2,
        "method.simclr.layers": "[1, 2]",
        "backbone.levit.use": "levit",
        "train.epochs": 2.0,
        "train.reproducible": 0.0,
        "train.probe": "['class']",
    }
    headlines = [tag for tag in read.Tags()["scalars"] if tag.startswith("metric/")]
    assert headlines == ["metric/linear/class/auroc/30"]
    assert hparams.EXPERIMENT_TAG not in read.summary_metadata  # of one run it would hide the options of the others


def test_tensorboard_lays_the_methods_side_by_side(tmp_path: Path) -> None:
    read = watched(tmp_path)
    (event,) = read.Tensors("custom_scalars__config__")
    found = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    (category,) = found.category
    patterns = {chart.title: list(chart.multiline.tag) for chart in category.chart}
    assert list(patterns) == [
        "loss over chance",
        "class, linear probe",
        "class, knn probe",
        "effective rank",
        "spread of embeddings",
    ]
    for title, tag in (("loss over chance", "loss_over_chance"), ("class, linear probe", "online/class/linear")):
        assert [name for name in read.Tags()["scalars"] if re.match(patterns[title][0], name)] == [f"train/{tag}"]


def test_the_projector_has_points_labels_and_thumbnails(tmp_path: Path) -> None:
    watched(tmp_path)
    folder = tmp_path / "tensorboard"
    config = text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (space,) = config.embeddings
    assert space.tensor_name == "trained/map:00004"
    points = np.loadtxt(folder / space.tensor_path, delimiter="\t")
    np.testing.assert_array_equal(points, np.eye(5))
    rows = [line.split("\t") for line in (folder / space.metadata_path).read_text().splitlines()]
    assert rows[0] == ["class", "name"]
    assert rows[1:] == [["a", "v"], ["a", "w"], ["b", "x"], ["b", "y"], ["b", "z"]]
    assert list(space.sprite.single_image_dim) == [4, 4]
    sprite = Image.open(folder / space.sprite.image_path)
    assert sprite.size == (12, 12)  # 3 x 3 thumbnails hold five
    assert np.asarray(sprite.convert("L")).max() == 255


def test_a_run_that_measured_nothing_has_no_headlines(tmp_path: Path) -> None:
    observer = TensorBoard()
    observer.run_started(folder=tmp_path, spec={})
    observer.training_started(step=6)
    observer.projector(name="bare", vectors=np.eye(2, dtype=np.float32), labels={}, thumbnails=None, step=6)
    observer.run_ended(status="failed")
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    assert hparams.SESSION_START_INFO_TAG not in read.summary_metadata
    assert "metadata_path" not in (tmp_path / "tensorboard" / "projector_config.pbtxt").read_text()
