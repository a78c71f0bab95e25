"""The swapped prediction of SwAV (arXiv 2006.09882, equations 1 and 2, and 6 for several crops)."""

from __future__ import annotations

import torch
from torch import Tensor


def swapped_prediction(logits: Tensor, assignments: Tensor) -> Tensor:
    """Each view predicts the assignments of the others.

    Args:
        logits: (B, V, K), scores over the temperature, of every view.
        assignments: (B, A, K), rows that sum to 1, of the first A views; no gradient flows into them.

    Returns:
        Scalar: the cross-entropy, mean over images and over the A * (V - 1) pairs of different views.
    """
    predictions = logits.log_softmax(-1)
    pairs = -torch.einsum("bak,bvk->av", assignments, predictions) / len(logits)
    different = ~torch.eye(*pairs.shape, dtype=torch.bool, device=pairs.device)
    return pairs[different].mean()


def entropy(probabilities: Tensor) -> Tensor:
    """The entropy (...) of probabilities (..., K), in nats; 0 log 0 is 0."""
    terms: Tensor = torch.special.entr(probabilities)
    return terms.sum(-1)
