"""Members of foreign tars: arrays without pickle, and JSON. Nothing that is read can run."""

from __future__ import annotations

import json
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


def decode_member(name: str, data: bytes) -> Any:
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
        return json.loads(data)
    except ValueError as error:
        raise UserError(f"{name} is damaged: {error}; write the shard again") from error


def _array(name: str, data: bytes) -> NDArray[Any]:
    stream = BytesIO(data)
    try:
        version = npy.read_magic(stream)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
        if read is None:
            raise ValueError(f"version {version} of the format is not read")
        shape, fortran, dtype = read(stream)
        if dtype.hasobject:
            raise UserError(f"{name} holds Python objects, which is a pickle and is refused; write plain numbers")
        pixels = np.frombuffer(data, dtype, offset=stream.tell())
        return pixels.reshape(shape, order="F" if fortran else "C")
    except ValueError as error:
        raise UserError(f"{name} is damaged: {error}; write the shard again") from error
