"""Neighbours are those of a naive search, wherever chunks end, and never the query itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from deeplense_registry import Target, UserError
from deeplense_registry.engine.use import Column, Stack, gallery, nearest, nearest_others, neighbours


def cosines(queries: Any, among: Any) -> Any:
    """(Q, N), in float64, one by one."""

    def cosine(a: Any, b: Any) -> float:
        length = np.sqrt((a**2).sum() * (b**2).sum())
        return float((a * b).sum() / length) if length else 0.0

    return np.array([[cosine(a, b) for b in among.astype(float)] for a in queries.astype(float)])


few = st.integers(-3, 3).map(float)  # ties and rows of zeros


@st.composite
def searches(draw: Any) -> tuple[Any, Any, int]:
    width, queries, rows = draw(st.integers(1, 4)), draw(st.integers(1, 7)), draw(st.integers(1, 13))
    among = draw(arrays(np.float32, (rows, width), elements=few))
    return draw(arrays(np.float32, (queries, width), elements=few)), among, draw(st.integers(1, rows))


@given(searches())
def test_neighbours_are_those_of_a_naive_search(search: tuple[Any, Any, int]) -> None:
    queries, among, k = search
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "QUERIES", 3)
        patch.setattr(neighbours, "ROWS", 4)
        where, scores = nearest(queries, among, k)
    expected = cosines(queries, among)
    np.testing.assert_allclose(scores, -np.sort(-expected, axis=1)[:, :k], atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(expected, where, 1), scores, atol=1e-6)
    assert all(len(set(row)) == k for row in where.tolist())


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_of_equals_the_earlier_stands_first(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(neighbours, "ROWS", rows)
    among = np.array([[0, 1], [1, 0], [2, 0], [0, 1], [3, 0]], np.float32)
    where, scores = nearest(np.array([[1, 0]], np.float32), among, 5)
    assert where.tolist() == [[1, 2, 4, 0, 3]]
    assert scores.tolist() == [[1, 1, 1, 0, 0]]


def test_what_cannot_be_searched() -> None:
    rows = np.ones((3, 2), np.float32)
    for k in (0, 4):
        with pytest.raises(UserError, match=f"{k} neighbours are asked for among 3 images; ask for 1 to 3"):
            nearest(rows, rows, k)
    with pytest.raises(UserError, match="width 3 are not compared with those of width 2"):
        nearest(np.ones((1, 3), np.float32), rows, 1)


def named(count: int) -> Any:
    return np.array([f"n{number}" for number in range(count)])


def test_a_query_does_not_find_itself() -> None:
    rows = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    where, scores = nearest_others(named(9), rows * (1 + 1e-6), named(9), rows, 8)
    expected = cosines(rows, rows)
    np.fill_diagonal(expected, -2)
    np.testing.assert_array_equal(where, np.argsort(-expected, axis=1)[:, :8])
    assert (np.diff(scores) <= 0).all()
    with pytest.raises(UserError, match="9 neighbours are asked for among 9 images, of which one is the query"):
        nearest_others(named(9), rows, named(9), rows, 9)
    with pytest.raises(UserError, match="12 neighbours are asked for among 9 images; ask for 1 to 9"):
        nearest_others(named(9), rows, named(9), rows, 12)


def test_an_image_of_another_name_or_another_look_is_found() -> None:
    rows = np.eye(3, dtype=np.float32)
    same = np.array([[1, 0, 0]], np.float32)
    assert nearest_others(np.array(["other"]), same, named(3), rows, 3)[0].tolist() == [[0, 1, 2]]
    assert nearest_others(np.array(["n1"]), same, named(3), rows, 3)[0].tolist() == [[0, 1, 2]]
    assert nearest_others(np.array(["n0"]), same, named(3), rows, 2)[0].tolist() == [[1, 2]]


def stack(count: int, bands: int, *, targets: bool = True, size: tuple[int, int] = (6, 8)) -> Stack:
    pixels = np.random.default_rng(bands).random((count, bands, *size), np.float32)
    columns = {
        "class": Column(Target(classes=("long_name_of_a_class_that_does_not_fit", "b")), np.arange(count) % 3 - 1),
        "radius": Column(Target(unit="arcsec"), np.where(np.arange(count) % 2, np.nan, np.arange(count) / 3)),
        "same": Column(Target(unit="dex"), np.ones(count)),
    }
    names = np.array([f"a/very/long/path/that/goes/on/and/on/{n:06d}" for n in range(count)])
    return Stack(names=names, read=lambda index: pixels[index], where="here", targets=columns if targets else {})


@pytest.mark.parametrize("bands", [1, 3, 5])
@pytest.mark.parametrize("targets", [False, True])
def test_a_gallery_has_a_row_a_query_and_a_line_a_target(tmp_path: Path, bands: int, targets: bool) -> None:
    queries, among = stack(2, bands), stack(9, bands, targets=targets)
    if not targets:
        queries = stack(2, bands, targets=False)
    found = np.array([[0, 8, 3], [4, 5, 6]]), np.full((2, 3), 0.5, np.float32)
    gallery(tmp_path / "g.png", queries, among, found)
    picture = np.asarray(Image.open(tmp_path / "g.png"))
    lines = 3 if targets else 1  # the target that is the same everywhere is left out
    assert picture.shape[0] == 8 + 2 * (128 + 15 * lines + 8)
    white = (picture == 255).all(2)
    assert not white.all()
    assert white[:, -8:].all()  # what is too wide was cut: nothing runs over the edge
    assert (np.ptp(picture.astype(int), axis=2) > 0).any() == (bands == 3)


def test_a_gallery_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = np.array([[0]]), np.ones((1, 1), np.float32)
    with pytest.raises(UserError, match=r"g.png: cannot write"):
        gallery(tmp_path / "file" / "g.png", stack(1, 1), stack(1, 1), found)
