"""A run that collapses is told within the epoch, once, and marked; a healthy or slow one is not."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toys import toy_facts

from deeplense_registry.cli import main
from deeplense_registry.engine import Interrupted, RunFolder
from deeplense_registry.engine.checkpoint import Checkpoints
from deeplense_registry.engine.collapse import (
    GENERAL_CAUSES,
    CollapseMonitor,
    Verdict,
    load_verdict,
    outcome,
    save_verdict,
    signs,
)
from deeplense_registry.engine.observers import Observers
from deeplense_registry.engine.observers.log import Log
from deeplense_registry.engine.watch import Watch
from deeplense_registry.interfaces import Method

COLLAPSING = ("train.epochs=8", "train.learning_rate=0.1")

K = math.log(2048)
HEALTHY = {
    "loss": 6.1,
    "embedding_std": 0.45,
    "teacher_entropy": 5.9,
    "teacher_mean_entropy": 6.5,
    "encoder/embedding_std": 0.44,
    "encoder/effective_rank": 18.0,
}


@given(
    st.fixed_dictionaries(
        {
            "embedding_std": st.floats(0.2, 1.1),
            "encoder/embedding_std": st.floats(0.1, 1.1),
            "encoder/effective_rank": st.floats(2.0, 300.0),
            "teacher_entropy": st.floats(0.0, 0.99 * K),
            "teacher_mean_entropy": st.floats(0.5 * K, K),
            "prototype_usage": st.floats(0.2, 1.0),
            "assignment_entropy": st.floats(0.0, 1.0),  # of single images, beside prototype_usage: 0 is certainty
        }
    ),
    st.lists(st.floats(0.1, 0.998) | st.floats(1.002, 1.1), max_size=5),
)
def test_healthy_scalars_give_no_sign(scalars: dict[str, float], ratios: list[float]) -> None:
    assert list(signs(scalars, ratios, K)) == []


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        ({"embedding_std": 0.003}, "all images have nearly the same embedding (embedding_std 0.003"),
        ({"encoder/embedding_std": 0.0}, "all images have nearly the same embedding (encoder/embedding_std 0"),
        ({"encoder/effective_rank": 1.01}, "embeddings vary in one direction only"),
        ({"teacher_entropy": K - 1e-4}, "the teacher finds all outputs alike"),
        ({"teacher_mean_entropy": 0.01}, "the teacher gives all images the same output"),
        ({"assignment_entropy": 0.0}, "nearly all images fall into one cluster (assignment_entropy 0 of 1)"),
        ({"prototype_usage": 0.01, "assignment_entropy": 0.8}, "into one cluster (prototype_usage 0.01 of 1)"),
        ({"loss": K * 1.0004}, "the loss stands still at 7.625, that of a model that has learned nothing"),
    ],
)
def test_planted_collapse_is_told_at_the_end_of_its_epoch(planted: dict[str, float], said: str) -> None:
    monitor = CollapseMonitor(K, ("the teacher is too hot",))
    for _ in range(4):
        monitor.see(HEALTHY)
    assert monitor.judge(100) == Verdict(step=100, collapsed=False)
    for _ in range(4):
        monitor.see(HEALTHY | planted)
    verdict = monitor.judge(200)
    assert (verdict.collapsed, verdict.warned) == (True, 200)
    assert said in verdict.reason
    text = monitor.warning(2, verdict.reason)
    assert text == f"epoch 2: the run is collapsing: {verdict.reason}. Likely causes: the teacher is too hot"


def test_a_collapse_in_the_midst_of_an_epoch_counts() -> None:
    monitor = CollapseMonitor(K, ())
    for value in (0.9, 0.7, 0.4, 0.02):
        monitor.see(HEALTHY | {"embedding_std": value})
    assert monitor.judge(4).collapsed


def test_an_encoder_is_not_judged_while_batch_norm_is_cold() -> None:
    monitor = CollapseMonitor(None, ())
    for step, collapsed in ((10, False), (49, False), (50, True)):
        monitor.see({"encoder/embedding_std": 0.001, "encoder/effective_rank": 1.1})
        assert monitor.judge(step).collapsed is collapsed


def test_a_slow_start_near_chance_is_no_collapse() -> None:
    """Losses over chance of a short DINO run as it was logged, and a moment at chance in passing."""
    monitor = CollapseMonitor(K, ())
    for ratio in (1.004, 1.003, 0.992, 1.005, 1.0001, 0.9999):
        monitor.see(HEALTHY | {"loss": ratio * K})
    assert not monitor.judge(6).collapsed


def test_chance_is_judged_over_epochs_where_few_losses_are_logged() -> None:
    monitor = CollapseMonitor(K, ())
    states = []
    for epoch in range(1, 5):
        monitor.see(HEALTHY | {"loss": K})
        states.append(monitor.judge(epoch).collapsed)
    assert states == [False, False, True, True]


def test_without_chance_or_scalars_nothing_is_guessed() -> None:
    monitor = CollapseMonitor(None, ())
    monitor.see({"loss": -1.0})
    assert not monitor.judge(1).collapsed
    assert GENERAL_CAUSES[0] in monitor.warning(1, "x")


def test_it_warns_once_and_the_final_state_may_be_sound() -> None:
    monitor = CollapseMonitor(None, ())
    verdicts = []
    for epoch, value in enumerate((0.01, 0.01, 0.9, 0.01, 0.9), start=1):
        monitor.see({"embedding_std": value})
        verdicts.append(monitor.judge(epoch))
    assert [verdict.collapsed for verdict in verdicts] == [True, True, False, True, False]
    assert {verdict.warned for verdict in verdicts} == {1}
    assert verdicts[-1].reason == ""


def test_a_continued_run_does_not_warn_again(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert load_verdict(folder) is None
    assert outcome(folder) == {}
    save_verdict(folder, Verdict(step=8, collapsed=True, reason="so", warned=4))
    assert outcome(folder) == {"collapsed": True, "collapse": "so"}
    monitor = CollapseMonitor(None, (), load_verdict(folder))
    monitor.see({"embedding_std": 0.0})
    assert monitor.judge(12).warned == 4


def test_watch_looks_at_the_end_of_epochs_alone(tmp_path: Path) -> None:
    looks: list[int] = []
    kept: list[Verdict] = []

    def look() -> dict[str, float]:
        looks.append(1)
        return {"embedding_std": 0.0}

    log = Log()
    observers = Observers([log])
    observers.run_started(folder=tmp_path, spec={})
    watch = Watch(toy_facts(epochs=3), observers, CollapseMonitor(None, ("a", "b")), look, kept.append)
    for done in range(2, 13, 2):  # four steps an epoch
        watch.scalars(done, {"loss": 1.0})
    assert len(looks) == 3
    assert [verdict.step for verdict in kept] == [4, 8, 12]
    (warning,) = [event for event in events(tmp_path) if event["event"] == "warning"]
    assert warning["step"] == 4
    assert warning["text"].startswith("epoch 1: the run is collapsing: all images have nearly the same embedding")
    assert warning["text"].endswith("Likely causes: a; b")


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_run_that_collapses_is_marked(toy_run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    folder = toy_run("attract", *COLLAPSING, 'execute.observers=["log", "tensorboard", "progress"]')
    manifest = folder.manifest()
    assert manifest["status"] == "finished"
    assert manifest["collapsed"] is True
    assert "embedding_std" in manifest["collapse"]
    (warning,) = [event for event in events(folder.path) if event["event"] == "warning"]
    assert "Likely causes: the gradient is not stopped" in warning["text"]
    first = next(e["step"] for e in events(folder.path) if e.get("embedding_std", 1.0) < 0.05)
    assert warning["step"] - first < 4, "told within the epoch"
    assert f"warning: {warning['text']}" in capsys.readouterr().err
    board = EventAccumulator(str(folder.path / "tensorboard"))
    board.Reload()
    assert [point.step for point in board.Tensors("warning/text_summary")] == [warning["step"]]
    main(["runs", "list", "--runs", str(folder.path)])
    assert "collapsed" in capsys.readouterr().out
    main(["runs", "show", str(folder.path)])
    assert f"collapse  {manifest['collapse']}" in capsys.readouterr().out


def test_a_healthy_run_is_not(toy_run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    folder = toy_run("contrast")
    assert (folder.manifest()["collapsed"], folder.manifest()["collapse"]) == (False, "")
    assert not [event for event in events(folder.path) if event["event"] == "warning"]
    main(["runs", "show", str(folder.path)])
    assert "collapse" not in capsys.readouterr().out


def test_the_state_is_kept_when_only_evaluation_is_done_again(toy_run: Any) -> None:
    folder = toy_run("attract", *COLLAPSING)
    toy_run("attract", *COLLAPSING, "labels.draws=2")  # another digest, the same training
    assert folder.manifest()["collapsed"] is True
    assert len([event for event in events(folder.path) if event["event"] == "warning"]) == 1


def test_interrupted_after_the_warning_it_ends_the_same(toy_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of an epoch, when the newest verdict and checkpoint are of different steps."""
    whole = toy_run("attract", *COLLAPSING, name="whole")
    (warned,) = [event["step"] for event in events(whole.path) if event["event"] == "warning"]
    assert warned < 32, "before the last epoch"

    @contextmanager
    def stop_at(step: int) -> Iterator[Callable[[], bool]]:
        steps = iter(range(1, 1000))
        yield lambda: next(steps) == step

    with monkeypatch.context() as patch:
        patch.setattr("deeplense_registry.engine.run.stop_signals", lambda: stop_at(warned + 2))
        with pytest.raises(Interrupted):
            toy_run("attract", *COLLAPSING)
    manifest = json.loads((whole.path.parent / "run" / "manifest.json").read_text())
    assert (manifest["status"], manifest["collapsed"]) == ("interrupted", True)
    folder = toy_run("attract", *COLLAPSING)
    assert folder.encoder.read_bytes() == whole.encoder.read_bytes()
    assert folder.manifest()["collapse"] == whole.manifest()["collapse"]
    assert [event["step"] for event in events(folder.path) if event["event"] == "warning"] == [warned]


def test_a_warning_of_steps_taken_again_is_given_again(toy_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the verdict and the checkpoint of that step."""
    whole = toy_run("attract", *COLLAPSING, name="whole")
    (warned,) = [event["step"] for event in events(whole.path) if event["event"] == "warning"]

    def killed(checkpoints: Checkpoints, step: int, *rest: Any) -> None:
        if step >= warned:
            raise KeyboardInterrupt
        save(checkpoints, step, *rest)

    save = Checkpoints.save
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            toy_run("attract", *COLLAPSING)
    folder = toy_run("attract", *COLLAPSING)
    assert [event["step"] for event in events(folder.path) if event["event"] == "warning"] == [warned]


@pytest.mark.parametrize("name", ["simclr", "simsiam", "swav", "moby", "dino", "sit", "vtcc"])
def test_every_method_names_causes(name: str) -> None:
    from deeplense_registry.components import find, load_factory

    method: type[Method] = load_factory(find("method", name))
    assert method.collapse_causes
    assert all(cause == cause.strip() and not cause.endswith(".") for cause in method.collapse_causes)
