"""Images become embeddings: read ahead by a thread, a batch at a time in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...components import UserError
from ...evaluation import embed
from ...shards import read_ahead
from ..encoder import Encoder
from ..session import BATCH, Report
from .inputs import silent
from .stack import Images, Index, Stack

Vectors = NDArray[np.float32]


def embed_stack(encoder: Encoder, images: Stack, report: Report = silent) -> Vectors:
    """(N, D) float32 embeddings of the images, in order; the same bits as a run's evaluation computes.

    Args:
        encoder: On any device.
        images: N images; a few batches of them are in memory at once.
        report: ``report(done, total)`` after each batch.

    Raises:
        UserError: Pixels or embeddings are not finite, or images cannot be read.
    """
    parts = (np.arange(start, min(start + BATCH, len(images))) for start in range(0, len(images), BATCH))
    with read_ahead(partial(_read, images), parts) as batches:
        return embed(encoder.backbone, _scaled(encoder, batches, report, len(images)), len(images))


def _read(images: Stack, index: Index) -> Images:
    flux = images.read(index)  # (b, C, H, W)
    finite = np.isfinite(flux).all(axis=(1, 2, 3))
    if not finite.all():
        name = images.names[index[np.flatnonzero(~finite)[0]]]
        raise UserError(f"{images.where}: image {name!s} has pixels that are not finite; mend it or leave it out")
    return flux


def _scaled(encoder: Encoder, batches: Iterable[Images], report: Report, total: int) -> Iterator[Tensor]:
    done = 0
    for flux in batches:
        yield encoder.scaling(torch.from_numpy(flux).to(encoder.device))
        done += len(flux)
        report(done, total)
