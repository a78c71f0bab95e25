"""Parts that methods are built from."""

from .contrast import embedding_std, info_nce, normalise, similarity_logits, widen
from .heads import Layer, mlp

__all__ = ["Layer", "embedding_std", "info_nce", "mlp", "normalise", "similarity_logits", "widen"]
