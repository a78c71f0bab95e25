"""The contrast of clusters, of VTCC and of Contrastive Clustering (arXiv 2009.09687, equations 4 to 6)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from deeplense_registry.blocks import normalise, widen
from deeplense_registry.blocks.nt_xent import nt_xent


def cluster_contrast(assignments: Tensor, temperature: float) -> Tensor:
    """Each cluster, as one view sees it, finds itself in the other view among all clusters of both views.

    A cluster is its column of the assignments: to what extent each image belongs to it. An empty cluster has no
    direction; its similarity to everything is 0.

    Args:
        assignments: (N, 2, K), probabilities over clusters, of two views of the images of every process.
        temperature: Positive.

    Returns:
        Scalar, the mean over the 2K clusters.
    """
    clusters = normalise(assignments.permute(2, 1, 0))  # (K, 2, N)
    return nt_xent(clusters, clusters, 0, temperature)[0]


def cluster_entropy(assignments: Tensor) -> Tensor:
    """The entropy of the clusters' shares of the images, for each view: 0 to log K.

    Args:
        assignments: (N, 2, K), as in :func:`cluster_contrast`.

    Returns:
        (2,), in nats. An empty cluster adds nothing, and its gradient is finite.
    """
    shares = widen(assignments).mean(0)  # (2, K)
    tiny = torch.finfo(shares.dtype).tiny
    return -torch.xlogy(shares, shares.clamp_min(tiny)).sum(-1)


def unevenness(assignments: Tensor) -> Tensor:
    """What the entropy of the clusters lacks of log K, summed over both views: 0 where all are equally large."""
    return (math.log(assignments.shape[-1]) - cluster_entropy(assignments)).sum()
