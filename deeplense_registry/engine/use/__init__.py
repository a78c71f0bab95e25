"""A finished run is put to use: its encoder embeds, searches, predicts and travels."""

from .embedding import embed_stack
from .export import export_encoder
from .files import embeddings_writer, read_embeddings
from .gallery import gallery
from .inputs import open_encoder, open_images, open_run
from .learning import learn
from .neighbours import nearest, nearest_others
from .predicting import Labels, Prediction, Predictor
from .stack import Column, Stack, first, stack_of
from .tables import lesson, rows, write_csv

__all__ = [
    "Column",
    "Labels",
    "Prediction",
    "Predictor",
    "Stack",
    "embed_stack",
    "embeddings_writer",
    "export_encoder",
    "first",
    "gallery",
    "learn",
    "lesson",
    "nearest",
    "nearest_others",
    "open_encoder",
    "open_images",
    "open_run",
    "read_embeddings",
    "rows",
    "stack_of",
    "write_csv",
]
