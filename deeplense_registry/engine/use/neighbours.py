"""The most alike: exact search by cosine similarity, in bounded memory."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ...components import UserError

QUERIES, ROWS = 1024, 32_768
"""Compared at once: 128 MiB of similarities."""
ITSELF = 1.0 - 1e-4
"""Least similarity of an image to itself; batches of other sizes give other last bits."""

Names = NDArray[np.str_]
Vectors = NDArray[np.float32]
Found = tuple[NDArray[np.int64], NDArray[np.float32]]


def nearest(queries: Vectors, among: Vectors, k: int) -> Found:
    """Positions (Q, k) of the rows of ``among`` (N, D) most alike to each query (Q, D), and their similarities (Q, k).

    Similarity is the cosine, in [-1, 1], best first; a row of zeros is like nothing (0). Of rows that are equally alike
    the earlier stands first; which of them are found where more than ``k`` are, is open.

    Raises:
        UserError: Widths differ, or there are fewer than ``k`` rows, or ``k`` is below 1.
    """
    if queries.shape[1] != among.shape[1]:
        raise UserError(
            f"embeddings of width {queries.shape[1]} are not compared with those of width {among.shape[1]}: they come "
            "from different encoders"
        )
    if not 1 <= k <= len(among):
        raise UserError(f"{k} neighbours are asked for among {len(among)} images; ask for 1 to {len(among)}")
    found = [_search(block, among, k) for block in torch.split(_unit(queries), QUERIES)]
    scores, where = (torch.cat(part) for part in zip(*found, strict=True))
    return where.numpy(), scores.numpy()


def nearest_others(query_names: Names, queries: Vectors, names: Names, among: Vectors, k: int) -> Found:
    """As :func:`nearest`, but a query does not find itself: a row of its name and of its embedding.

    Args:
        query_names: (Q,) of the queries.
        queries: (Q, D).
        names: (N,) of the rows.
        among: (N, D).
        k: How many others.

    Raises:
        UserError: As :func:`nearest`, or there are fewer than ``k`` others.
    """
    where, scores = nearest(queries, among, k + 1 if k < len(among) else k)
    itself = (names[where] == query_names[:, None]) & (scores > ITSELF)
    if k == len(among) and itself.any():
        raise UserError(f"{k} neighbours are asked for among {k} images, of which one is the query; ask for fewer")
    order = np.argsort(itself, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(where, order, 1), np.take_along_axis(scores, order, 1)


def _search(block: Tensor, among: Vectors, k: int) -> tuple[Tensor, Tensor]:
    """Similarities and positions (q, k) of the best of ``among`` for unit rows (q, D)."""
    best, where = block.new_empty(len(block), 0), torch.empty(len(block), 0, dtype=torch.int64)
    for start in range(0, len(among), ROWS):
        scores = block @ _unit(among[start : start + ROWS]).T  # (q, n)
        value, place = scores.topk(min(k, scores.shape[1]), dim=1)
        best, where = torch.cat((best, value), 1), torch.cat((where, place + start), 1)
        best, kept = best.topk(min(k, best.shape[1]), dim=1)
        where = where.gather(1, kept)
    where, order = where.sort(dim=1)
    best, by_score = best.gather(1, order).sort(dim=1, descending=True, stable=True)
    return best, where.gather(1, by_score)


def _unit(rows: Vectors) -> Tensor:
    return F.normalize(torch.tensor(rows, dtype=torch.float32), dim=1)
