"""The loss of SimSiam (arXiv 2011.10566, equations 1 to 4)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from deeplense_registry.blocks import widen


def negative_cosine(p: Tensor, z: Tensor) -> Tensor:
    """``D(p, stopgrad(z))``, equations 1 and 3: the negative cosine similarity of predictions and embeddings.

    Args:
        p: (..., D), predictions.
        z: (..., D), what they should be; no gradient reaches it.

    Returns:
        (...), in [-1, 1], float32 at least.
    """
    return -F.cosine_similarity(widen(p), widen(z.detach()), dim=-1, eps=1e-8)


def symmetric(p: Tensor, z: Tensor) -> Tensor:
    """``D(p1, stopgrad(z2)) / 2 + D(p2, stopgrad(z1)) / 2``, equation 4; the mean over images, scalar.

    Args:
        p: (B, 2, D), the predictions from both views.
        z: (B, 2, D), the embeddings of both views.
    """
    return negative_cosine(p, z.flip(1)).mean()
