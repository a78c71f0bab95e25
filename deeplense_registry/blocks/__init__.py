"""Parts that methods are built from."""

from .contrast import embedding_std, info_nce, normalise, similarity_logits, widen
from .ema import follow, make_teacher
from .heads import Layer, mlp
from .multicrop import encode_views
from .nt_xent import nt_xent, nt_xent_chance
from .queue import Queue
from .schedules import cosine, warmup_cosine
from .sinkhorn import sinkhorn

__all__ = [
    "Layer",
    "Queue",
    "cosine",
    "embedding_std",
    "encode_views",
    "follow",
    "info_nce",
    "make_teacher",
    "mlp",
    "normalise",
    "nt_xent",
    "nt_xent_chance",
    "similarity_logits",
    "sinkhorn",
    "warmup_cosine",
    "widen",
]
