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
from .statistics import Moments, merge, moments

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


class Ledger:
    """What the index keeps of samples, their pixels let go."""

    def __init__(self) -> None:
        """Of none yet."""
        self._offsets: list[int] = []
        self._checksums: list[int] = []
        self._rows: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = []
        self._bands: list[Moments] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, sample: Encoded, offset: int) -> None:
        """Enter a sample whose pixels start at byte ``offset`` of the tar."""
        self._offsets.append(offset)
        self._checksums.append(zlib.crc32(sample.image.data))
        self._rows.append((sample.name, sample.targets, sample.meta))
        self._bands.append(moments(sample.image))

    def columns(self, card: DatasetCard, stamp: str, sha256: str) -> Columns:
        """The columns of the index: those of :func:`sample_columns`, and where and what the images are.

        Args:
            card: The data set's card.
            stamp: What the index was made from.
            sha256: Of the tar.
        """
        return {
            "stamp": np.array(stamp),
            "sha256": np.array(sha256),
            "offsets": np.array(self._offsets, np.int64),
            "crc32": np.array(self._checksums, np.uint32),
            "moments": merge(self._bands, card.shape.channels).pack(),
            **sample_columns(self._rows, card),
        }


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
