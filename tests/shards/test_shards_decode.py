"""Foreign members and locations: data is read, what could run is refused."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deeplense_registry.components import UserError
from deeplense_registry.shards import ShardSet, decode_member, refuse_command


def npy(array: Any, **settings: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **settings)
    return stream.getvalue()


@given(
    hnp.arrays(
        st.sampled_from([np.dtype(kind) for kind in ("<f4", "<f2", "<i8", "u1", ">f4")]), hnp.array_shapes(max_side=4)
    ),
    st.booleans(),
)
def test_arrays_come_back(array: np.ndarray, fortran: bool) -> None:
    stored = np.asfortranarray(array) if fortran else array
    read = decode_member("a.image.npy", npy(stored))
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype


def test_version_two_headers_are_read() -> None:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.arange(3), version=(2, 0))
    assert decode_member("a.npy", stream.getvalue()).tolist() == [0, 1, 2]


def test_json_comes_back() -> None:
    assert decode_member("0-1.meta.JSON", b'{"a": [1, 2.5, null]}') == {"a": [1, 2.5, None]}


def test_a_pickle_is_refused_before_it_runs() -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return pytest.fail, ("it ran",)

    data = npy(np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(UserError) as error:
        decode_member("x.npy", data)
    assert str(error.value) == "x.npy holds Python objects, which is a pickle and is refused; write plain numbers"


@pytest.mark.parametrize("kind", ["pyd", "pth", "pickle", "pkl", "pyc", "pt", "npz", "jpg", ""])
def test_every_other_kind_is_refused(kind: str) -> None:
    name = f"0-1.image.{kind}" if kind else "member"
    with pytest.raises(UserError) as error:
        decode_member(name, b"")
    assert str(error.value) == f"{name} is refused: only .npy and .json are read, since others can run code"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.npy", b"<html>"),
        ("a.npy", npy(np.zeros(4))[:-1]),
        ("a.npy", npy(np.zeros(4))[:-8]),
        ("a.npy", b"\x93NUMPY\x03\x00" + npy(np.zeros(4))[8:]),
        ("a.json", b"{"),
        ("a.json", b"\xff\xfe\x00"),
    ],
)
def test_damage_is_named(name: str, data: bytes) -> None:
    with pytest.raises(UserError, match=f"{name} is damaged: .*; write the shard again"):
        decode_member(name, data)


@pytest.mark.parametrize("location", ["pipe:cat x.tar", " PIPE:rm", "simplecache::pipe:cat", "exec:ls", "|cat"])
def test_commands_are_refused(location: str) -> None:
    with pytest.raises(UserError) as error:
        refuse_command(location)
    assert str(error.value) == f'"{location}" is a command, not data; give the folder or URL of shards'
    with pytest.raises(UserError, match="is a command, not data"):
        ShardSet.open(location)


@pytest.mark.parametrize("location", ["runs/shards", "s3://bucket/pipe", "https://a.b/c", "./pipe/x", "pipe"])
def test_data_is_not_a_command(location: str) -> None:
    refuse_command(location)
