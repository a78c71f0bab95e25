"""Progress of a survey, from logs as runs write them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from deeplense_registry.engine import RunFolder
from deeplense_registry.engine.observers.log import Log
from deeplense_registry.spec import Cell
from deeplense_registry.survey import Outcome, Task
from deeplense_registry.survey.course import Course
from deeplense_registry.survey.display import Display, clock, remaining
from deeplense_registry.survey.forecast import Forecast
from deeplense_registry.survey.pace import Pace
from deeplense_registry.survey.tail import Tail


def events(*rows: tuple[float, str, dict[str, object]]) -> list[dict[str, object]]:
    return [{"time": time, "event": event, **more} for time, event, more in rows]


WHOLE = events(
    (0.0, "started", {}),
    (1.0, "phase", {"name": "data"}),
    (2.0, "training", {"step": 0, "steps": 20}),
    (7.0, "scalars", {"step": 10, "loss": 1.5, "images_per_second": 64.0}),
    (9.0, "warning", {"step": 10, "text": "it collapses"}),
    (12.0, "scalars", {"step": 20, "loss": 1.25, "images_per_second": 64.0}),
    (13.0, "phase", {"name": "evaluation"}),
    (14.0, "measurement", {}),
    (17.0, "ended", {"status": "finished"}),
)


def write(task: Task, rows: list[dict[str, object]]) -> None:
    path = task.folder.path / "log.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def tasks(cells: tuple[Cell, ...], tmp_path: Path) -> list[Task]:
    """Two methods by two seeds, 20 steps each."""
    return [Task(cell, RunFolder(tmp_path / "runs" / cell.name)) for cell in cells]


def test_a_pace_times_steps_and_the_rest() -> None:
    pace = Pace()
    for event in WHOLE:
        pace.take(event)
    assert pace.per_step == pytest.approx(0.5)
    assert pace.rest == pytest.approx(2.0 + 4.0)
    assert (pace.phase, pace.step, pace.measured) == ("", 20, 1)


def test_the_pause_between_two_attempts_is_no_step() -> None:
    pace = Pace()
    for event in WHOLE[:4]:
        pace.take(event)
    later = events(
        (1000.0, "started", {}),
        (1001.0, "training", {"step": 5, "steps": 20}),
        (1003.5, "scalars", {"step": 10, "loss": 1.0}),
    )
    for event in later:
        pace.take(event)
    assert pace.per_step == pytest.approx((5.0 + 2.5) / 15)


def test_processes_of_their_own_end_training_twice() -> None:
    """The parent tells that training is over after rank 0 has told of all steps: no set-up of that length."""
    pace = Pace()
    rows = [*WHOLE[:6], *events((12.5, "training", {"step": 20, "steps": 20})), *WHOLE[6:]]
    for event in rows:
        pace.take(event)
    assert pace.rest == pytest.approx(2.0 + 4.0)


def test_a_tail_reads_whole_lines_once(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    tail = Tail(path)
    assert tail() == (False, [])
    path.write_text('{"a": 1}\n{"a": ')
    assert tail() == (True, [{"a": 1}])
    with path.open("a") as file:
        file.write("2}\n")
    assert tail() == (False, [{"a": 2}])
    assert tail() == (False, [])
    with path.open("ab") as file:
        file.write(b"\0\0\xff\n[1]\n" + b'{"a": 3}\n')
    assert tail() == (False, [{"a": 3}])
    (tmp_path / "new").write_text('{"b": 1}\n')
    (tmp_path / "new").replace(path)
    assert tail() == (True, [{"b": 1}])


def test_a_tail_follows_the_log_of_a_run(tmp_path: Path) -> None:
    """What the core writes is what is read."""
    log, tail, pace = Log(), Tail(tmp_path / "log.jsonl"), Pace()
    log.run_started(folder=tmp_path)
    log.phase(name="data")
    log.training_started(steps=20, step=0)
    log.scalars(step=10, values={"loss": 1.0, "images_per_second": 9.0})
    for event in tail()[1]:
        pace.take(event)
    assert (pace.phase, pace.step, pace.steps, pace.loss, pace.rate) == ("training", 10, 20, 1.0, 9.0)


def test_the_time_left_before_the_first_cell_ends(tasks: list[Task]) -> None:
    course = Course(tasks, {"lenses": 320}, workers=1)
    assert course.forecast() is None
    write(tasks[0], WHOLE[:4])
    assert course.read([tasks[0].folder]) == []
    assert course.line(tasks[0].folder) == f"{tasks[0].cell.name}  training 10/20  loss 1.500  64 images/s"
    left = course.forecast()
    assert left is not None
    assert left.seconds == pytest.approx(0.5 * (10 + 3 * 20))
    assert not left.whole


def test_a_finished_cell_tells_of_evaluation(tasks: list[Task]) -> None:
    course = Course(tasks, {"lenses": 320}, workers=1)
    write(tasks[0], WHOLE)
    course.end(tasks[0])
    assert course.read([tasks[0].folder]) == [f"{tasks[0].cell.name}: it collapses"]
    left = course.forecast()
    assert left is not None
    assert left.seconds == pytest.approx(3 * (20 * 0.5 + 6.0))
    assert left.whole
    assert course.done == 1


def test_what_cells_share_counts_once_for_each_seed(tasks: list[Task]) -> None:
    """Two methods by two seeds: the first cell trained the supervised network of its seed, another has yet to."""
    supervised = events((44.0, "measurement", {"encoder": "supervised"}), (47.0, "ended", {"status": "finished"}))
    course = Course(tasks, {"lenses": 320}, workers=1)
    write(tasks[0], [*WHOLE[:-1], *supervised])
    course.end(tasks[0])
    course.read([tasks[0].folder])
    left = course.forecast()
    assert left is not None
    assert left.seconds == pytest.approx(3 * (20 * 0.5 + 6.0) + 30.0)
    other = next(task for task in tasks if task.cell.seed != tasks[0].cell.seed)
    write(other, [*WHOLE[:-1], *supervised])
    course.end(other)
    course.read([other.folder])
    left = course.forecast()
    assert left is not None
    assert left.seconds == pytest.approx(2 * (20 * 0.5 + 6.0))


def test_what_was_logged_before_is_known_and_warned_of_once(tasks: list[Task]) -> None:
    write(tasks[0], WHOLE)
    course = Course(tasks, {}, workers=2)
    assert course.forecast() is not None
    (tasks[0].folder.path / "log.jsonl").rename(tasks[0].folder.path / "old")
    write(tasks[0], WHOLE[:-2])  # continued: the log is written anew
    assert course.read([tasks[0].folder]) == []
    assert course.line(tasks[0].folder) == f"{tasks[0].cell.name}  evaluation, 0 measurements"
    assert course.line(tasks[1].folder) == tasks[1].cell.name


def test_steps_left_by_a_skew_are_taken_from_the_log(tasks: list[Task]) -> None:
    """The data say 20 steps; the first run says 16, and so the others will."""
    course = Course(tasks, {"lenses": 320}, workers=1)
    rows = events((0.0, "training", {"step": 0, "steps": 16}), (4.0, "scalars", {"step": 8}))
    write(tasks[0], rows)
    course.read([tasks[0].folder])
    left = course.forecast()
    assert left is not None
    assert left.seconds == pytest.approx(0.5 * (8 + 3 * 16))


def test_lines_where_there_is_no_terminal(tasks: list[Task], make, capsys: pytest.CaptureFixture[str]) -> None:
    first = tasks[0]
    course = Course(tasks, {"lenses": 320}, workers=1)
    with Display(course, lambda: (first.folder,)) as display:
        write(first, WHOLE[:5])
        display._show()
        run = make(first.cell)
        display.ended(Outcome(first.cell, run, "finished"))
    said = capsys.readouterr().err.splitlines()
    assert f"warning: {first.cell.name}: it collapses" in said
    line = f"0/4 cells  0:35 left, and evaluation  {first.cell.name}  training 10/20  loss 1.500  64 images/s"
    assert line in said
    assert f"{first.cell.name} finished in 0:09, 1 of 4 cells" in said


def test_a_bar_on_a_terminal(tasks: list[Task]) -> None:
    course, stream = Course(tasks, {"lenses": 320}, workers=1), io.StringIO()
    display = Display(course, lambda: (tasks[0].folder,))
    display._console = Console(file=stream, force_terminal=True, width=120)
    with display:
        write(tasks[0], WHOLE[:4])
    assert "0/4 cells" in stream.getvalue()
    assert "training 10/20" in stream.getvalue()


def test_clocks() -> None:
    assert [clock(seconds) for seconds in (7, 750, 10800)] == ["0:07", "12:30", "3:00:00"]
    assert remaining(Forecast(61.0, whole=True)) == "1:01 left"
    assert remaining(Forecast(61.0, whole=True, late=True)) == "more than 1:01 left"
