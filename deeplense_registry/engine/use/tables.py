"""Predictions as rows of a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...components import UserError
from ...shards.atomic import write_bytes
from .predicting import Prediction, Predictor


def rows(predictor: Predictor, names: NDArray[np.str_], prediction: Prediction) -> tuple[list[str], list[list[str]]]:
    """A header and a row for each image: name; class and probabilities, or quantity and interval; trust."""
    about, target = predictor.about, predictor.target
    trust = [f"{value:.3f}" for value in prediction.trust]
    if prediction.half_width is None:
        header = ["image", target, *(f"p({name})" for name in about.classes), "trust"]
        cells = [[about.classes[row.argmax()], *(f"{value:.4f}" for value in row)] for row in prediction.values]
    else:
        header = ["image", f"{target} [{about.unit}]" if about.unit else target, "low", "high", "trust"]
        half = prediction.half_width
        cells = [[f"{v:.5g}", f"{v - half:.5g}", f"{v + half:.5g}"] for v in prediction.values]
    return header, [[name, *cell, score] for name, cell, score in zip(names.tolist(), cells, trust, strict=True)]


def lesson(predictor: Predictor) -> str:
    """A sentence on what the predictor learned from, and how well."""
    learned = f"{predictor.target}: learned on {predictor.labels:,} labelled training images"
    if predictor.half_width is None:
        return f"{learned}; accuracy {predictor.score:.3f} on {predictor.judged:,} validation images"
    width = f"{predictor.half_width:.3g} {predictor.about.unit}".rstrip()
    judged = f"{predictor.judged:,} validation images, 95 % of them within {width}"
    return f"{learned}; R2 {predictor.score:.3f} on {judged}"


def write_csv(path: Path, header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Write a table, whole or not at all.

    Raises:
        UserError: The disk refuses.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    try:
        write_bytes(path, text.getvalue().encode())
    except OSError as error:
        raise UserError(f"{path}: cannot write: {error}; make room and run again") from error
