"""The parts of a report: markup that cannot break out, histories, figures, fronts, colours, pictures."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplense_registry import UserError
from deeplense_registry.comparison.report.collect import parameters
from deeplense_registry.comparison.report.cost_charts import pareto
from deeplense_registry.comparison.report.figures import Line, chart, lines, points
from deeplense_registry.comparison.report.gallery import WIDTH, embedded
from deeplense_registry.comparison.report.history import read_history
from deeplense_registry.comparison.report.markup import cell, element, joined, table
from deeplense_registry.comparison.report.palette import COLOURS, LEVELS, colour, contrast, ink, level, marker
from deeplense_registry.comparison.report.training_charts import POINTS, thinned
from tests.comparison.report_runs import picture

finite = st.floats(-1e3, 1e3, allow_nan=False)


class Reader(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text(), st.text())
def test_no_text_becomes_markup(text: str, value: str) -> None:
    read = Reader(element("p", text, element("b", text), title=value))
    assert read.tags == [("p", {"title": value}), ("b", {})]
    assert read.text == text * 2


def test_attributes_are_written_as_html_wants_them() -> None:
    made = element("img", alt='a "b"', class_="c", data_sort="1", hidden=True, title=None, open=False)
    assert made == '<img alt="a &quot;b&quot;" class="c" data-sort="1" hidden>'
    assert joined("<", None, element("br")) == "&lt;<br>"


def test_a_table_names_its_rows_and_columns() -> None:
    made = table("Caption", ["one", "two"], [["<a>", cell("2", sort=0.5)]], foot=[["b", "3"]])
    read = Reader(made)
    assert [(tag, found["scope"]) for tag, found in read.tags if "scope" in found] == [
        ("th", "col"),
        ("th", "col"),
        ("th", "row"),
        ("th", "row"),
    ]
    assert [found for tag, found in read.tags if tag == "td"] == [{"data-sort": "0.5"}, {}]
    assert read.text == "Captiononetwo<a>2b3"


def write_log(path: Path, *events: dict[str, object], tail: str = "") -> Path:
    path.write_text("".join(json.dumps(event) + "\n" for event in events) + tail)
    return path


def test_a_history_counts_only_time_that_was_kept(tmp_path: Path) -> None:
    path = write_log(
        tmp_path / "log.jsonl",
        {"time": 0, "event": "started"},
        {"time": 10, "event": "training", "step": 0, "steps": 8},
        {"time": 20, "event": "scalars", "step": 2, "loss": 2.0, "images_per_second": 10.0},
        {"time": 500, "event": "started"},
        {"time": 510, "event": "phase", "name": "data"},
        {"time": 600, "event": "training", "step": 2, "steps": 8},
        {"time": 605, "event": "scalars", "step": 4, "loss": 1.0, "images_per_second": 30.0},
        {"time": 605, "event": "warning", "step": 4, "text": "beware"},
        {"time": 615, "event": "scalars", "step": 8, "loss": 0.5, "images_per_second": 20.0},
        tail='{"time": 616, "event": "sca',
    )
    found = read_history(path)
    assert found.curves["loss"] == ((0.25, 2.0), (0.5, 1.0), (1.0, 0.5))
    assert (found.seconds, found.images_per_second, found.warnings) == (25, 20.0, ("beware",))


def test_no_log_is_no_history(tmp_path: Path) -> None:
    found = read_history(tmp_path / "log.jsonl")
    assert (found.curves, found.images_per_second, found.seconds) == ({}, None, 0.0)


@pytest.mark.parametrize(
    "line", ["no json", "[1]", '{"event": "training"}', '{"event": "scalars", "step": 1, "loss": 2}']
)
def test_a_damaged_log_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(UserError, match=r"log\.jsonl: damaged .* its curves are left out"):
        read_history(path)


@given(st.lists(st.tuples(st.floats(0.1, 1e6), finite), min_size=1, max_size=30))
def test_the_front_is_what_nothing_as_cheap_is_as_good_as(found: list[tuple[float, float]]) -> None:
    costs, quality = [cost for cost, _ in found], [good for _, good in found]
    front = pareto(costs, quality)

    def beaten(one: int) -> bool:
        rivals = [other for other in range(len(found)) if other != one]
        return any(
            costs[other] <= costs[one] and quality[other] >= quality[one] and found[other] != found[one]
            for other in rivals
        )

    assert {found[one] for one in front} == {found[one] for one in range(len(found)) if not beaten(one)}
    assert [costs[one] for one in front] == sorted(costs[one] for one in front)


@given(st.lists(st.tuples(st.floats(0, 1), finite), max_size=700))
def test_a_thinned_curve_keeps_its_mean(curve: list[tuple[float, float]]) -> None:
    found = thinned(tuple(curve))
    assert len(found) <= POINTS
    assert bool(found) == bool(curve)
    if len(curve) <= POINTS:
        assert found == tuple(curve)
    elif len(curve) % 2 == 0 and len(curve) <= 2 * POINTS:
        assert np.mean([y for _, y in found]) == pytest.approx(np.mean([y for _, y in curve]), abs=1e-9)


def test_colours_can_be_read_and_told_apart() -> None:
    assert all(contrast(ink(paper), paper) >= 4.5 for paper in LEVELS)
    assert all(contrast(paint, "#ffffff") >= 1.8 for paint in COLOURS)
    assert len({(colour(number), marker(number)) for number in range(60)}) == 60
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert [level(value, 0.2, 0.6) for value in (0.2, 0.4, 0.6)] == [0, 4, 8]
    assert level(0.5, 0.5, 0.5) == 4


def test_a_figure_is_the_same_bytes_and_takes_names_as_they_are() -> None:
    drawn = [Line([30, 300], [0.5, 0.6], [0.4, 0.5], [0.6, 0.7], marker="o"), Line([30], [0.5], style="--")]

    def draw() -> str:
        return chart(lines(drawn, ticks=[30, 300], bounds=(0, 1)), title="$\\frac{", xlabel="<x>", ylabel="y")

    assert draw() == draw()
    assert "<dc:date>" not in draw()
    assert "<script" not in draw()


@pytest.mark.parametrize("cost", [0.02, 7.0, 30.0, 2_000_000.0])
def test_points_of_any_size_have_round_ticks(cost: float) -> None:
    one = Line([cost], [0.5], [0.4], [0.6], marker="o", ringed=True)
    found = chart(points([one, Line([3 * cost], [0.5], marker="s")], one), title="", xlabel="cost", ylabel="y")
    assert "mathdefault" not in found


def test_pictures_become_small(tmp_path: Path) -> None:
    import base64
    import io

    from PIL import Image

    picture(tmp_path / "wide.png")
    head, _, content = embedded(tmp_path / "wide.png").partition(",")
    assert head == "data:image/webp;base64"
    assert Image.open(io.BytesIO(base64.b64decode(content))).size == (WIDTH, WIDTH // 2)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 30])
def test_a_damaged_picture_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.png: no picture that can be read"):
        embedded(tmp_path / "a.png")


def test_parameters_are_counted_without_statistics(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "encoder.safetensors"
    assert parameters(path) is None
    parts = {
        "w": np.zeros((3, 4), np.float32),
        "bn.running_var": np.zeros(4, np.float32),
        "index": np.zeros(9, np.int64),
    }
    save_file(parts, path)
    assert parameters(path) == 12
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match="damaged"):
        parameters(path)
