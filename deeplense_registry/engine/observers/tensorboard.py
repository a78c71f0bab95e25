"""The run in TensorBoard: scalars, pictures, and hyper-parameters beside headline measurements."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from ...components import hookimpl


class TensorBoard:
    """Writes event files into ``tensorboard/`` of the run's folder, one run a cell."""

    def __init__(self) -> None:
        """Begin with no measurements."""
        self._headlines: dict[str, float] = {}

    @hookimpl
    def run_started(self, folder: Path, spec: Mapping[str, Any], step: int) -> None:
        """Open an event file; events of an earlier process after ``step`` are hidden."""
        self._options = flat(spec)
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)

    @hookimpl
    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """A curve each."""
        for name, value in values.items():
            self._writer.add_scalar(f"train/{name}", value, step)

    @hookimpl
    def picture(self, name: str, image: Any, step: int) -> None:
        """A picture."""
        self._writer.add_image(name, image, step, dataformats="HW" if image.ndim == 2 else "HWC")

    @hookimpl
    def measurement(self, measurement: Any) -> None:
        """A point on the curve of the metric against the number of labels."""
        one = measurement
        parts = (one.evaluator, one.target, one.metric, one.encoder)
        name = "/".join(part for part in parts if part)
        self._writer.add_scalar(f"evaluation/{name}", one.value, one.labels)
        if one.encoder == "trained":
            self._headlines[f"metric/{one.evaluator}/{one.target}/{one.metric}/{one.labels}"] = one.value

    @hookimpl
    def run_ended(self, status: str) -> None:
        """Write hyper-parameters and headlines, and close the file."""
        if self._headlines:
            for summary in hparams(self._options, self._headlines):  # type: ignore[no-untyped-call]
                self._writer._get_file_writer().add_summary(summary)  # add_hparams would open a second run
            for name, value in self._headlines.items():
                self._writer.add_scalar(name, value)
        self._writer.add_text("status", status)
        self._writer.close()


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    """A nested table as dotted keys; whatever is no scalar becomes text."""
    result: dict[str, bool | int | float | str] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[prefix + key] = value if isinstance(value, bool | int | float | str) else str(value)
    return result
