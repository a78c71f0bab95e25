"""The run in TensorBoard: scalars, pictures, and hyper-parameters beside headline measurements."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from ...components import hookimpl
from ...interfaces import Measurement


class TensorBoard:
    """Writes event files into ``tensorboard/`` of the run's folder, one run a cell."""

    def __init__(self) -> None:
        """Begin with no measurements and no file."""
        self._headlines: dict[str, float] = {}
        self._writers: list[SummaryWriter] = []  # empty until training starts
        self._step = 0

    @hookimpl
    def run_started(self, folder: Path, spec: Mapping[str, Any]) -> None:
        """Keep what the file and its end will need."""
        self._folder, self._options = folder, options_of(spec)
        self._probes = tuple(spec.get("train", {}).get("probe", ()))

    @hookimpl
    def training_started(self, step: int) -> None:
        """Open an event file; what an earlier process wrote of steps after ``step`` is hidden."""
        self._step, purge = step, step + 1 if step else None
        self._writers = [SummaryWriter(str(self._folder / "tensorboard"), purge_step=purge)]
        for writer in self._writers:
            writer.add_custom_scalars(layout(self._probes))

    @hookimpl
    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """A curve each."""
        self._step = step
        for writer in self._writers:
            for name, value in values.items():
                writer.add_scalar(f"train/{name}", value, step)

    @hookimpl
    def warning(self, text: str) -> None:
        """A text, at the step of the scalars before it."""
        for writer in self._writers:
            writer.add_text("warning", text, self._step)

    @hookimpl
    def picture(self, name: str, image: Any, step: int) -> None:
        """A picture."""
        for writer in self._writers:
            writer.add_image(name, image, step, dataformats="HW" if image.ndim == 2 else "HWC")

    @hookimpl
    def projector(self, name: str, vectors: Any, labels: Mapping[str, Any], thumbnails: Any, step: int) -> None:
        """Points in the projector, with their labels and thumbnails."""
        rows = [list(row) for row in zip(*labels.values(), strict=True)]
        images = None if thumbnails is None else torch.from_numpy(thumbnails)
        if images is not None:  # (n, 3, h, w), square as the projector wants its sprites
            images = images.movedim(-1, 1) if images.ndim == 4 else images[:, None].expand(-1, 3, -1, -1)
        for writer in self._writers:
            writer.add_embedding(torch.from_numpy(vectors), rows or None, images, step, name, list(labels) or None)

    @hookimpl
    def measurement(self, measurement: Any) -> None:
        """A point on the curve of the metric against the number of labels."""
        one = measurement
        name = "/".join(part for part in (one.evaluator, one.target, one.metric, one.encoder) if part)
        for writer in self._writers:
            writer.add_scalar(f"evaluation/{name}", one.value, one.labels)
        if is_headline(one):
            self._headlines[headline(one)] = one.value

    @hookimpl
    def run_ended(self, status: str) -> None:
        """Write hyper-parameters and headlines, and close the file."""
        for writer in self._writers:
            writer.add_text("status", status)
            self._write_headlines(writer)
            writer.close()

    def _write_headlines(self, writer: SummaryWriter) -> None:
        if not self._headlines:
            return
        _, start, end = hparams(self._options, self._headlines)  # type: ignore[no-untyped-call]
        for summary in (
            start,
            end,
        ):  # TensorBoard takes one run's list of options for all: it makes a better one itself
            file = writer._get_file_writer()  # type: ignore[no-untyped-call]  # add_hparams would open a second run
            file.add_summary(summary)
        for name, value in self._headlines.items():
            writer.add_scalar(name, value)


def layout(probes: Sequence[str]) -> dict[str, dict[str, list[Any]]]:
    """The page "custom scalars": charts in which the runs of several methods lie side by side.

    Args:
        probes: The targets of ``train.probe``.
    """
    charts = {"loss over chance": "loss_over_chance"}
    charts |= {
        f"{target}, {probe} probe": f"online/{target}/{probe}" for target in probes for probe in ("linear", "knn")
    }
    charts |= {"effective rank": "encoder/effective_rank", "spread of embeddings": "encoder/embedding_std"}
    return {
        "methods side by side": {title: ["Multiline", [f"^train/{re.escape(tag)}$"]] for title, tag in charts.items()}
    }


def is_headline(measurement: Measurement) -> bool:
    """Whether it stands beside the hyper-parameters."""
    return measurement.encoder == "trained" and measurement.split == "test"


def headline(measurement: Measurement) -> str:
    """Its name there: ``metric/linear/class/auroc/300``."""
    one = measurement
    return "/".join(["metric", *filter(None, (one.evaluator, one.target, one.metric, str(one.labels)))])


def options_of(spec: Mapping[str, Any]) -> dict[str, bool | int | float | str]:
    """Every option of a run's spec, as dotted keys, and before them what a reader tells runs by.

    Options of a method bear its name rather than its table's, so that one column has those of all its tables.
    """
    kinds = ("dataset", "method", "backbone")
    names = {kind: next(iter(spec.get(kind, {})), "") for kind in kinds}
    used = {kind: {one.get("use", key): one for key, one in spec[kind].items()} for kind in kinds if kind in spec}
    return {**names, "seed": next(iter(spec.get("run", {}).get("seeds", ())), 0), **flat({**spec, **used})}


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    """A nested table as dotted keys; whatever is no scalar becomes text."""
    result: dict[str, bool | int | float | str] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[prefix + key] = value if isinstance(value, bool | int | float | str) else str(value)
    return result
