"""The evaluation phase of a run: the trained encoder beside the untrained one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from ..evaluation import EncoderBench, estimate_statistics, judge
from ..interfaces import Evaluator, Measurement, Method
from .observers import Observers
from .session import Session, constructor


def evaluate(session: Session, observers: Observers) -> list[Measurement]:
    """Every evaluator of the spec on both encoders."""
    observers.phase(name="evaluation")
    measurements = []
    for number, measurement in enumerate(_measurements(session, observers), start=1):
        measurements.append(measurement)
        observers.measurement(measurement=measurement)
        observers.progress(done=number, total=None)
    return measurements


def _measurements(session: Session, observers: Observers) -> Iterator[Measurement]:
    if not session.cell.evaluate:
        return
    trained = session.method()
    session.checkpoints.restore(trained)
    yield from _judge(session, observers, "trained", trained)
    yield from _judge(session, observers, "untrained", untrained(session))


def untrained(session: Session) -> Method:
    """The same initialisation, with batch norm's statistics estimated on the training images."""
    method = session.method()
    estimate_statistics(method.encoder(), session.images("train"))
    return method


def _judge(session: Session, observers: Observers, name: str, method: Method) -> Iterator[Measurement]:
    def show(picture: str, image: Any) -> None:
        observers.picture(name=f"{name}/{picture}", image=image, step=session.facts.steps)

    method.eval()  # its heads too: assignments must not depend on the batch
    bench = EncoderBench(
        backbone=method.encoder(),
        encoder=name,
        card=session.shards.card,
        source=session.shards,
        scaling=session.scaling,
        labels=session.cell.labels,
        device=torch.device(session.device),
        assign=method.assign,
        on_picture=show,
    )
    for instance in session.cell.evaluate:
        evaluator: Evaluator = constructor(instance)()
        yield from judge(evaluator, instance.name, bench)
