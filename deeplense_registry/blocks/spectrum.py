"""In how many directions embeddings spread."""

from __future__ import annotations

import torch
from torch import Tensor


def effective_rank(x: Tensor) -> Tensor:
    """Effective rank of a matrix (N, D): exp of the entropy of its singular values' shares (Roy & Vetterli 2007).

    Computed in float64, from the rows as they are: of embeddings this is RankMe (arXiv 2210.02885). Between 1, where
    all rows lie on one line through the origin (equal rows do, and zeros), and min(N, D), where every direction
    carries as much.

    Args:
        x: (N, D) with N and D from 1, finite.

    Returns:
        Scalar, float64.
    """
    singular = torch.linalg.svdvals(x.detach().double())  # (min(N, D),)
    shares = singular / singular.sum().clamp_min(torch.finfo(singular.dtype).tiny)
    return torch.exp(-torch.xlogy(shares, shares).sum())
