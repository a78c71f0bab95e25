"""The index of a shard: where each image lies, and all that can be asked of samples without opening the tar."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ..components import DatasetCard, UserError
from .atomic import replacing
from .encode import Encoded

Columns = Mapping[str, NDArray[Any]]


def sample_columns(rows: Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any]]], card: DatasetCard) -> Columns:
    """Columns of (name, targets, meta) rows: ``names``, ``targets.NAME`` and ``meta.NAME``, (N,) each.

    A class is int64, -1 where absent; a quantity, and every number in meta, float64, NaN where absent. Strings in meta
    stay in the tar.
    """
    columns: dict[str, NDArray[Any]] = {"names": np.array([name for name, _, _ in rows], np.str_)}
    for target, about in card.targets.items():
        absent, dtype = (-1, np.int64) if about.classes else (np.nan, np.float64)
        columns[f"targets.{target}"] = np.array([targets.get(target, absent) for _, targets, _ in rows], dtype)
    numeric = sorted({key for _, _, meta in rows for key, value in meta.items() if not isinstance(value, str)})
    for key in numeric:
        values = (meta.get(key, np.nan) for _, _, meta in rows)
        columns[f"meta.{key}"] = np.array([np.nan if isinstance(v, str) else v for v in values], np.float64)
    return columns


def row(sample: Encoded) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    """What the index keeps of a sample, its pixels let go."""
    return sample.name, sample.targets, sample.meta


def checksum(image: NDArray[Any]) -> int:
    """CRC-32 of an image's bytes."""
    return zlib.crc32(image.data)


def write_index(path: Path, columns: Columns) -> None:
    """Write the columns, whole or not at all; the same columns give the same bytes."""
    with replacing(path) as aside, aside.open("wb") as stream:
        np.savez(stream, **columns)  # type: ignore[arg-type]  # numpy's own keyword, allow_pickle, is no column


def read_index(path: Path, *names: str) -> dict[str, NDArray[Any]]:
    """The columns called ``names`` (all by default) that the index has.

    Raises:
        UserError: It is missing, or no index.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files if not names or name in names}
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error, TypeError) as error:
        raise UserError(f"{path} is not the index of a shard: {error}; build the shards again") from error
