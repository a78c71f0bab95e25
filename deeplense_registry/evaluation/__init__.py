"""An encoder is judged: label draws, embeddings, metrics and measurements with intervals."""

from .bench import EncoderBench
from .better import better
from .cache import ArrayCache
from .draws import label_draws, labelled
from .efficiency import Efficiency, label_efficiency
from .embeddings import embed, estimate_statistics
from .intervals import Interval, interval, interval_of, p_value_of
from .judge import judge
from .metrics import METRICS, Metric, metrics_for
from .protocol import MIN_TEST, MIN_VALIDATION, Prediction, check_targets, known_images, measure
from .published import read_label_index
from .skew import kept_images, label_pool, skewed, training_images
from .splits import fingerprint, shards_digest, write_label_index, write_training_index
from .subsample import counts_in_ratio, follow
from .surroundings import Images, Shown

__all__ = [
    "METRICS",
    "MIN_TEST",
    "MIN_VALIDATION",
    "ArrayCache",
    "Efficiency",
    "EncoderBench",
    "Images",
    "Interval",
    "Metric",
    "Prediction",
    "Shown",
    "better",
    "check_targets",
    "counts_in_ratio",
    "embed",
    "estimate_statistics",
    "fingerprint",
    "follow",
    "interval",
    "interval_of",
    "judge",
    "kept_images",
    "known_images",
    "label_draws",
    "label_efficiency",
    "label_pool",
    "labelled",
    "measure",
    "metrics_for",
    "p_value_of",
    "read_label_index",
    "shards_digest",
    "skewed",
    "training_images",
    "write_label_index",
    "write_training_index",
]
