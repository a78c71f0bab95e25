"""Observers watch; none may change or stop a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from plugin_factory import make_plugin
from rich.console import Console

from deeplense_registry import PluginError, UserError, hookimpl
from deeplense_registry.engine.observers import Observers, observers_of
from deeplense_registry.engine.observers.log import Log
from deeplense_registry.engine.observers.progress import ProgressBar


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
