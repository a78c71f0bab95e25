"""The loss and the momentum of MoBY (arXiv 2105.04553, section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from deeplense_registry.blocks import similarity_logits
from deeplense_registry.blocks.schedules import cosine


def queue_contrast(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """InfoNCE of each query with its own key against a queue (equation 1); one direction of the loss.

    Args:
        queries: (B, D) of unit length.
        keys: (B, D) of unit length, the teacher's of the other view.
        queue: (L, D) of unit length, keys of earlier steps, the only negatives.
        temperature: Positive.

    Returns:
        The mean over queries, scalar, and whether each query's key is nearer than all of the queue, (B,) bool.
    """
    own = (queries * keys).sum(-1, keepdim=True) / temperature  # (B, 1)
    logits = torch.cat([own, similarity_logits(queries, queue, temperature)], dim=1)
    first = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
    return F.cross_entropy(logits, first), logits.detach().argmax(1) == first


def momentum_at(start: float, step: int, steps: int) -> float:
    """Of the teacher for the keys of ``step``: from ``start`` at step 0 along a cosine to 1 at ``steps``."""
    return cosine(start, 1.0, step / steps)
