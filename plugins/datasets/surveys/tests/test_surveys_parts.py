"""Pure parts, by property."""

from __future__ import annotations

import numpy as np
import pytest
from deeplense_surveys.catalogue import Catalogue, text
from deeplense_surveys.images import Picture, crop, fault
from deeplense_surveys.options import SurveysOptions
from deeplense_surveys.splits import find_splits
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplense_registry import UserError

FRACTIONS = st.lists(st.floats(0.1, 1.0), min_size=3, max_size=3).map(
    lambda parts: dict(zip(("train", "val", "test"), (part / max(sum(parts), 1) for part in parts), strict=True))
)


@settings(max_examples=60, deadline=None)
@given(count=st.integers(40, 200), fractions=FRACTIONS, seed=st.integers(0, 9), data=st.data())
def test_splits_are_disjoint_and_do_not_depend_on_the_order_of_rows(count, fractions, seed, data):
    ids = [f"object-{row}" for row in range(count)]
    options = SurveysOptions(path="x", fractions=fractions, seed=seed)
    catalogue = Catalogue(where="x", names=(), count=count, load={}.__getitem__)
    splits = find_splits(options, catalogue, ids)
    rows = np.concatenate(list(splits.values()))
    assert len(set(rows.tolist())) == len(rows) == round(sum(fractions.values()) * count)
    for split, own in splits.items():
        assert abs(len(own) - fractions[split] * count) <= 1
        assert (np.diff(own) > 0).all()
    shuffled = data.draw(st.permutations(ids))
    again = find_splits(options, catalogue, shuffled)
    for split, own in splits.items():
        assert {ids[row] for row in own} == {shuffled[row] for row in again[split]}


def test_another_seed_gives_other_splits():
    ids = [str(row) for row in range(100)]
    catalogue = Catalogue(where="x", names=(), count=100, load={}.__getitem__)
    one, other = (find_splits(SurveysOptions(path="x", seed=seed), catalogue, ids)["test"] for seed in (0, 1))
    assert set(one.tolist()) != set(other.tolist())


@given(height=st.integers(8, 30), width=st.integers(8, 30), size=st.integers(8, 30))
def test_the_crop_keeps_the_centre(height, width, size):
    image = np.zeros((2, height, width), np.float32)
    image[:, height // 2, width // 2] = 1
    picture = Picture(row=0, file="a.fits", pixels=image)
    assert crop(picture, None) is picture
    if size > min(height, width):
        with pytest.raises(UserError, match=rf"a.fits: row 1 has {height} x {width} pixels, fewer than size = {size}"):
            crop(picture, size)
    else:
        cut = crop(picture, size).pixels
        assert cut.shape == (2, size, size)
        assert cut[0, size // 2, size // 2] == 1
        assert cut.flags.c_contiguous


@pytest.mark.parametrize(
    ("value", "reason"),
    [(0.0, "with pixels all zero"), (3.0, "with pixels all of one value"), (np.inf, "with NaN or infinite pixels")],
)
def test_faults(value, reason):
    assert fault(np.full((1, 4, 4), value, np.float32), ("r",)) == reason


def test_one_bright_pixel_is_an_image():
    image = np.zeros((1, 4, 4), np.float32)
    image[0, 1, 2] = 1e-30
    assert fault(image, ("r",)) is None


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (3, "3"),
        (3.0, "3"),
        (3.5, "3.5"),
        (b"ab \0", "ab"),
        (" x ", "x"),
        ("", None),
        (float("nan"), None),
        (None, None),
    ],
)
def test_cells_as_text(cell, expected):
    assert text(cell) == expected


@given(st.integers(-(2**63), 2**63 - 1))
def test_long_ids_stay_exact(number):
    column = np.ma.MaskedArray(np.array([number]))
    assert Catalogue(where="x", names=("id",), count=1, load=lambda _: column).texts("id", "id") == [str(number)]
