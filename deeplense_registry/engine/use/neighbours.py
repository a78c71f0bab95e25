"""The most alike: exact search by cosine similarity, in chunks."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ...components import UserError

CHUNK = 65_536
"""Rows searched at once: 100 MB of embeddings of width 384."""


def nearest(
    queries: NDArray[np.float32], among: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Positions (Q, k) of the rows of ``among`` (N, D) most alike to each query (Q, D), and their similarities.

    Similarity is the cosine, in [-1, 1], best first; ties go to the earlier row. Memory is bounded by chunks of rows.

    Raises:
        UserError: Widths differ, or there are fewer than ``k`` rows.
    """
    if queries.shape[1] != among.shape[1]:
        raise UserError(
            f"embeddings of width {queries.shape[1]} are not compared with those of width {among.shape[1]}: they come "
            "from different encoders"
        )
    if k > len(among):
        raise UserError(f"{k} neighbours are asked for among {len(among)} images; ask for fewer")
    unit = torch.nn.functional.normalize(torch.from_numpy(queries), dim=1)
    best = torch.full((len(queries), k), -2.0)
    where = torch.zeros(len(queries), k, dtype=torch.int64)
    for start in range(0, len(among), CHUNK):
        rows = torch.nn.functional.normalize(torch.tensor(among[start : start + CHUNK]), dim=1)
        scores = torch.cat([best, unit @ rows.T], dim=1)
        places = torch.cat([where, torch.arange(start, start + len(rows)).expand(len(queries), -1)], dim=1)
        order = scores.argsort(dim=1, descending=True, stable=True)[:, :k]
        best, where = scores.gather(1, order), places.gather(1, order)
    return where.numpy(), best.numpy()
