"""Members of foreign tars: arrays without pickle, and JSON. Nothing that is read can run."""

from __future__ import annotations

import json
from functools import lru_cache
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ..components import UserError

COMMANDS = ("pipe", "exec", "shell", "cmd", "ssh")
"""Schemes that run a program: ``pipe:`` is webdataset's."""


def refuse_command(location: str) -> None:
    """Refuse a location that would run a program.

    Raises:
        UserError: ``location`` is ``pipe:...`` or the like, alone or behind ``::``.
    """
    links = [link.strip() for link in location.split("::")]
    if any(link.partition(":")[0].lower() in COMMANDS and ":" in link for link in links) or "|" in location[:1]:
        raise UserError(f'"{location}" is a command, not data; give the folder or URL of shards')


def decode_member(name: str, data: bytes | memoryview) -> Any:
    """The array of a ``.npy`` or the value of a ``.json`` member.

    Raises:
        UserError: It is of another kind, holds Python objects, or is damaged.
    """
    kind = PurePosixPath(name).suffix.lower()
    if kind == ".npy":
        return _array(name, data)
    if kind != ".json":
        raise UserError(f"{name} is refused: only .npy and .json are read, since others can run code")
    try:
        return json.loads(bytes(data))
    except ValueError as error:
        raise UserError(f"{name} is damaged: {error}; write the shard again") from error


def array_header(name: str, data: bytes | memoryview) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, whether in Fortran order, type, and where the numbers start, of a ``.npy`` that ``data`` begins with.

    Raises:
        UserError: It holds Python objects, or is damaged.
    """
    wide = bytes(data[6:7]) != b"\x01"  # version 1 gives the header's length in 2 bytes, later ones in 4
    length = int.from_bytes(data[8 : 12 if wide else 10], "little")
    try:
        shape, fortran, dtype, start = _header(bytes(data[: length + (12 if wide else 10)]))
    except ValueError as error:
        raise UserError(f"{name} is damaged: {error}; write the shard again") from error
    if dtype.hasobject:
        raise UserError(f"{name} holds Python objects, which is a pickle and is refused; write plain numbers")
    return shape, fortran, dtype, start


@lru_cache  # a shard repeats one header, and reading it takes longer than its image
def _header(start: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    stream = BytesIO(start)
    version = npy.read_magic(stream)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"version {version} of the format is not read")
    return (*read(stream), stream.tell())


def _array(name: str, data: bytes | memoryview) -> NDArray[Any]:
    shape, fortran, dtype, start = array_header(name, data)
    try:
        return np.frombuffer(data, dtype, offset=start).reshape(shape, order="F" if fortran else "C")
    except ValueError as error:
        raise UserError(f"{name} is damaged: {error}; write the shard again") from error
