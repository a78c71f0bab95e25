"""Contrast: which of many keys belongs to a query (InfoNCE, arXiv 1807.03748), and how alive embeddings are.

Similarities are computed in float32 at least, whatever the precision of the forward pass: logits are divided by a small
temperature, and bfloat16 has three digits.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def widen(x: Tensor) -> Tensor:
    """``x`` in float32, or in float64 where it is already."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def normalise(x: Tensor) -> Tensor:
    """Rows (..., D) of unit length, in float32 at least."""
    return F.normalize(widen(x), dim=-1)


def similarity_logits(queries: Tensor, keys: Tensor, temperature: float, *, own: Tensor | None = None) -> Tensor:
    """Cosine similarities of queries and keys, over the temperature.

    Args:
        queries: (Q, D) of unit length.
        keys: (K, D) of unit length.
        temperature: Positive; the smaller, the more the nearest keys count.
        own: (Q,) int64, for each query the key that is the query itself and no candidate: its logit is -inf.

    Returns:
        (Q, K), float32 at least.
    """
    with torch.autocast(queries.device.type, enabled=False):
        logits = widen(queries) @ widen(keys).T / temperature
    if own is None:
        return logits
    candidates = torch.arange(len(keys), device=keys.device)
    return logits.masked_fill(own[:, None] == candidates, -torch.inf)


def info_nce(
    queries: Tensor, keys: Tensor, positives: Tensor, temperature: float, *, own: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """InfoNCE: cross-entropy of finding each query's positive key among the candidates.

    Args:
        queries: (Q, D) of unit length.
        keys: (K, D) of unit length.
        positives: (Q,) int64, for each query its key.
        temperature: Positive.
        own: As in :func:`similarity_logits`.

    Returns:
        The mean over queries, scalar, and whether each query's positive is its nearest candidate, (Q,) bool.
    """
    logits = similarity_logits(queries, keys, temperature, own=own)
    return F.cross_entropy(logits, positives), logits.detach().argmax(1) == positives


def embedding_std(x: Tensor) -> Tensor:
    """Spread of normalised embeddings (N, D): the mean over dimensions of their standard deviation, times sqrt(D).

    1 where they cover the sphere evenly, 0 where they have collapsed to a point (SimSiam, arXiv 2011.10566, 4.1).
    """
    return normalise(x.detach()).std(dim=0, correction=0).mean() * math.sqrt(x.shape[-1])
