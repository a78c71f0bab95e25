"""Nearest neighbours by cosine similarity, exact, in bounded memory."""

from __future__ import annotations

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .protocol import Array, Index, optional

_QUERIES = 1024  # rows and columns of the similarity matrix held at once: 128 MiB
_GALLERY = 32_768


@frozen(eq=False)
class Neighbours:
    """``index`` (M, k) of the nearest rows of the gallery, nearest first, and their cosine ``similarity`` (M, k)."""

    index: Index
    similarity: NDArray[np.float32]


def nearest(
    queries: Array, gallery: Array, k: int, *, device: torch.device | str = "cpu", own: Index | None = None
) -> Neighbours:
    """The ``k`` most similar rows of ``gallery`` (N, D) for each of ``queries`` (M, D).

    Args:
        queries: (M, D).
        gallery: (N, D), with k <= N (k < N where ``own`` is given).
        k: How many.
        device: Where it is computed.
        own: (M,) for each query its own row in the gallery, which is left out.
    """
    kept = k if own is None else k + 1
    rows = _unit(queries, device)
    found = [_search(block, gallery, kept) for block in torch.split(rows, _QUERIES)]
    index = np.concatenate([one[1].cpu().numpy() for one in found])
    similarity = np.concatenate([one[0].cpu().numpy() for one in found])
    return _without(Neighbours(index, similarity), k, own)


def nearest_by_faiss(queries: Array, gallery: Array, k: int, *, own: Index | None = None) -> Neighbours:
    """As :func:`nearest`, by a flat FAISS index of inner products (Stein et al. 2021, arXiv:2110.13151).

    Raises:
        UserError: FAISS is not installed.
    """
    faiss = optional("faiss", "faiss-cpu", '[evaluate.similarity] search = "faiss"')
    index = faiss.IndexFlatIP(gallery.shape[1])
    index.add(_unit(gallery, "cpu").numpy())
    similarity, found = index.search(_unit(queries, "cpu").numpy(), k if own is None else k + 1)
    return _without(Neighbours(found.astype(np.int64), similarity), k, own)


def mean_distance(queries: Array, gallery: Array, k: int, *, device: torch.device | str = "cpu") -> NDArray[np.float64]:
    """(M,) mean cosine distance, in [0, 2], of each query to its ``k`` nearest rows of ``gallery`` (all, if fewer).

    The score of Sun et al. 2022 (arXiv:2204.06507), with the mean for the k-th.
    """
    found = nearest(queries, gallery, min(k, len(gallery)), device=device)
    closeness: NDArray[np.float64] = found.similarity.astype(np.float64).mean(1)
    return 1.0 - closeness


def _search(block: Tensor, gallery: Array, k: int) -> tuple[Tensor, Tensor]:
    """Similarities and positions (b, k) of the best of ``gallery``, chunk by chunk."""
    best = block.new_empty((len(block), 0))
    index = torch.empty((len(block), 0), dtype=torch.int64, device=block.device)
    for start in range(0, len(gallery), _GALLERY):
        similar = block @ _unit(gallery[start : start + _GALLERY], block.device).T  # (b, n)
        value, position = similar.topk(min(k, similar.shape[1]), dim=1)
        best, index = torch.cat((best, value), 1), torch.cat((index, position + start), 1)
        best, order = best.topk(min(k, best.shape[1]), dim=1)
        index = index.gather(1, order)
    return best, index


def _without(found: Neighbours, k: int, own: Index | None) -> Neighbours:
    """The first k that are not the query itself; a copy of the query may come before it, even push it out."""
    if own is None:
        return found
    other = found.index != own[:, None]  # (M, k + 1)
    order = np.argsort(~other, axis=1, kind="stable")[:, :k]
    return Neighbours(np.take_along_axis(found.index, order, 1), np.take_along_axis(found.similarity, order, 1))


def _unit(rows: Array, device: torch.device | str) -> Tensor:
    """Rows of length 1 (a row of zeros stays one), float32, on the device."""
    return F.normalize(torch.tensor(rows, dtype=torch.float32, device=device), dim=1)
