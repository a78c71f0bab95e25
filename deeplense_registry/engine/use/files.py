"""Embeddings in a file: .npz, or Parquet for tables."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ...components import UserError
from ...shards.atomic import replacing
from .embedding import Vectors

Names = NDArray[np.str_]
SUFFIXES = (".npz", ".parquet")


def embeddings_writer(path: Path) -> Callable[[Names, Vectors], None]:
    """A function that writes ``keys`` (N,) and ``embeddings`` (N, D) to ``path``, whole or not at all.

    Raises:
        UserError: Another suffix, or no pyarrow for Parquet; and when it writes, the disk refuses.
    """
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: embeddings are written as {' or '.join(SUFFIXES)}")
    if path.suffix == ".parquet":
        _pyarrow(path)
    return partial(_write, path)


def read_embeddings(path: Path) -> tuple[Names, Vectors]:
    """Names (N,) and embeddings (N, D) of such a file.

    Raises:
        UserError: It is no such file, or holds numbers that are not finite.
    """
    read = _read_parquet if path.suffix == ".parquet" else _read_npz
    try:
        names, vectors = read(path)
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile, zlib.error) as error:
        raise UserError(f"{path}: no embeddings that `deeplense embed` wrote ({error})") from error
    if names.dtype.kind != "U" or vectors.dtype.kind != "f" or vectors.ndim != 2 or names.shape != vectors.shape[:1]:
        shapes = f"keys {names.dtype} {names.shape}, embeddings {vectors.dtype} {vectors.shape}"
        raise UserError(f"{path}: no embeddings that `deeplense embed` wrote ({shapes})")
    if not np.isfinite(vectors).all():
        raise UserError(f"{path}: holds embeddings that are not finite; write it again with `deeplense embed`")
    return names, vectors.astype(np.float32, copy=False)


def _write(path: Path, names: Names, vectors: Vectors) -> None:
    try:
        with replacing(path) as aside:
            (_write_parquet if path.suffix == ".parquet" else _write_npz)(aside, names, vectors)
    except OSError as error:
        raise UserError(f"{path}: cannot write: {error}; make room and run again") from error


def _write_npz(path: Path, names: Names, vectors: Vectors) -> None:
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, keys=names, embeddings=vectors)


def _read_npz(path: Path) -> tuple[Names, Vectors]:
    with np.load(path, allow_pickle=False) as stored:
        return stored["keys"], stored["embeddings"]


def _write_parquet(path: Path, names: Names, vectors: Vectors) -> None:
    import pyarrow

    flat = pyarrow.array(vectors.ravel())
    columns = {"keys": names.tolist(), "embeddings": pyarrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1])}
    _pyarrow(path).write_table(pyarrow.table(columns), path)


def _read_parquet(path: Path) -> tuple[Names, Vectors]:
    table = _pyarrow(path).read_table(path, columns=["keys", "embeddings"])
    flat = table["embeddings"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.array(table["keys"].to_pylist(), np.str_), flat.reshape(table.num_rows, -1)


def _pyarrow(path: Path) -> Any:
    if find_spec("pyarrow") is None:
        raise UserError(f"{path}: Parquet needs pyarrow (pip install pyarrow); .npz does not")
    from pyarrow import parquet

    return parquet
