"""A finished run is put to use: its encoder embeds, searches, predicts and travels."""

from .asking import learn, rows, write_csv
from .embedding import embed_stack, read_embeddings, write_embeddings
from .export import export_encoder
from .gallery import gallery
from .inputs import Stack, first, open_images, open_run
from .neighbours import nearest
from .predicting import Prediction, Predictor

__all__ = [
    "Prediction",
    "Predictor",
    "Stack",
    "embed_stack",
    "export_encoder",
    "first",
    "gallery",
    "learn",
    "nearest",
    "open_images",
    "open_run",
    "read_embeddings",
    "rows",
    "write_csv",
    "write_embeddings",
]
