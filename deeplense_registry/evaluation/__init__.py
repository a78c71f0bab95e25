"""An encoder is judged: label draws, embeddings, metrics and measurements with intervals."""

from .bench import EncoderBench, Images, Shown
from .cache import EmbeddingCache
from .draws import label_draws, labelled
from .embeddings import embed, estimate_statistics
from .intervals import Interval, interval
from .judge import judge
from .metrics import METRICS, Metric

__all__ = [
    "METRICS",
    "EmbeddingCache",
    "EncoderBench",
    "Images",
    "Interval",
    "Metric",
    "Shown",
    "embed",
    "estimate_statistics",
    "interval",
    "judge",
    "label_draws",
    "labelled",
]
