"""Images become embeddings in a file: .npz, or Parquet for tables."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...components import UserError
from ...evaluation import embed
from ...shards.atomic import replacing
from ..encoder import Encoder
from .inputs import Stack

BATCH = 256
Report = Callable[[int, "int | None"], None]
Vectors = NDArray[np.float32]


def embed_stack(encoder: Encoder, images: Stack, report: Report = lambda done, total: None) -> Vectors:
    """(N, D) float32 embeddings of the images, in order; pixels are in memory a batch at a time.

    Raises:
        UserError: Pixels or embeddings are not finite.
    """
    device = next(encoder.parameters()).device
    return embed(encoder.backbone, (encoder.scaling(flux.to(device)) for flux in batches(images, report)))


def batches(images: Stack, report: Report) -> Iterator[Tensor]:
    """The images in order, (b, C, H, W), telling of those that are done."""
    for start in range(0, len(images), BATCH):
        index = np.arange(start, min(start + BATCH, len(images)))
        flux = images.read(index)
        finite = np.isfinite(flux).all(axis=(1, 2, 3))
        if not finite.all():
            name = images.names[index[np.flatnonzero(~finite)[0]]]
            raise UserError(f"{images.where}: image {name!r} has pixels that are not finite; mend it or leave it out")
        yield torch.from_numpy(flux)
        report(index[-1].item() + 1, len(images))


def write_embeddings(path: Path, names: NDArray[np.str_], vectors: Vectors) -> None:
    """Write ``keys`` (N,) and ``embeddings`` (N, D), as .npz or .parquet, whole or not at all.

    Raises:
        UserError: Another suffix, no pyarrow for Parquet, or the disk refuses.
    """
    writer = {".npz": _npz, ".parquet": _parquet}.get(path.suffix)
    if writer is None:
        raise UserError(f"{path}: embeddings are written as .npz or .parquet")
    try:
        with replacing(path) as aside:
            writer(aside, names, vectors)
    except OSError as error:
        raise UserError(f"{path}: cannot write: {error}; make room and run again") from error


def read_embeddings(path: Path) -> tuple[NDArray[np.str_], Vectors]:
    """Names (N,) and embeddings (N, D) of such a file.

    Raises:
        UserError: It is no such file.
    """
    try:
        if path.suffix == ".parquet":
            table = _pyarrow(path).read_table(path)
            return np.array(table["keys"].to_pylist()), np.array(table["embeddings"].to_pylist(), np.float32)
        with np.load(path, allow_pickle=False) as stored:
            return stored["keys"], stored["embeddings"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
        raise UserError(f"{path}: no embeddings that `deeplense embed` wrote ({error})") from error


def _npz(path: Path, names: NDArray[np.str_], vectors: Vectors) -> None:
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, keys=names, embeddings=vectors)


def _parquet(path: Path, names: NDArray[np.str_], vectors: Vectors) -> None:
    parquet = _pyarrow(path)
    import pyarrow

    flat = pyarrow.array(vectors.ravel())
    columns = {"keys": names.tolist(), "embeddings": pyarrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1])}
    parquet.write_table(pyarrow.table(columns), path)


def _pyarrow(path: Path) -> Any:
    if find_spec("pyarrow") is None:
        raise UserError(f"{path}: Parquet needs pyarrow (pip install pyarrow); .npz does not")
    from pyarrow import parquet

    return parquet
