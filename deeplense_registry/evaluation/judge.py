"""An evaluator judges an encoder, and its measurements are signed."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from attrs import evolve

from ..components import UserError
from ..interfaces import Bench, Evaluator, Measurement


def judge(evaluator: Evaluator, name: str, bench: Bench) -> Iterator[Measurement]:
    """The evaluator's measurements as they are made, with the evaluator's ``name`` and the encoder's filled in.

    An evaluator that trains a network of its own names the encoder itself ("supervised"); that name stays.

    Raises:
        UserError: A measurement is not finite, or its value lies outside its interval.
    """
    for measurement in evaluator.evaluate(bench):
        _check(measurement, name)
        yield evolve(measurement, evaluator=name, encoder=measurement.encoder or bench.encoder)


def _check(measurement: Measurement, name: str) -> None:
    low, value, high = measurement.low, measurement.value, measurement.high
    if not (isfinite(low) and isfinite(high) and low <= value <= high):
        raise UserError(
            f"evaluator {name!r} measured {measurement.metric} = {value:g} (interval {low:g} to {high:g}) for target "
            f"{measurement.target!r} with {measurement.labels} labels; a measurement is finite and lies in its "
            "interval: mend the evaluator, or look for outliers among the target's values"
        )
