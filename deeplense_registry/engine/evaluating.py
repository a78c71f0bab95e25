"""The evaluation phase of a run: the trained encoder beside the untrained one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray

from ..evaluation import ArrayCache, EncoderBench, estimate_statistics, judge
from ..interfaces import Backbone, Evaluator, Measurement, Method, ViewPlan, Views, ViewSpec
from ..shards.atomic import write_bytes
from ..spec import Instance, ViewsTable, digest_of
from ..views import Pipeline
from .checkpoint import sha256
from .folder import SHARED
from .observers import Observers
from .pictures import png
from .provenance import plugin_record, surroundings
from .session import Session, constructor
from .splits import LabelDraws


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
    bench = bench_of(session, observers, name, method)
    for instance in session.cell.evaluate:
        evaluator: Evaluator = constructor(instance)()
        bench.shown = Kept(session, observers, name, instance.use.rpartition(":")[2], instance.name)
        yield from judge(evaluator, instance.name, bench)


def bench_of(session: Session, observers: Observers, name: str, method: Method) -> EncoderBench:
    """The bench of a method's encoder, called ``name``."""
    method.eval()  # its heads too: assignments must not depend on the batch
    return EncoderBench(
        backbone=method.encoder(),
        encoder=name,
        card=session.shards.card,
        source=session.shards,
        scaling=session.scaling,
        labels=session.cell.labels,
        device=torch.device(session.device),
        seed=session.cell.seed,
        shown=Kept(session, observers, name),
        pipeline=single_views(session, centred=method.encoder().centred_crops),
        kept=ArrayCache(session.folder.embeddings / name, _key(session, name)),
        shared=ArrayCache(session.folder.path.parent / SHARED, _shared_key(session, method.encoder())),
        drawn=LabelDraws(session.cell, session.shards, session.folder.splits),
        assign=method.assign,
        arithmetic=session.precision.autocast,
    )


def single_views(session: Session, *, centred: bool) -> Callable[[ViewsTable | None], Callable[..., Views]]:
    """Pipelines of one full-size view of each image, as the spec's ``[views]`` or another table allows."""
    plan, shards = ViewPlan(views=(ViewSpec(),)), session.shards

    def pipeline(table: ViewsTable | None) -> Pipeline:
        allowed = table or session.cell.views
        return Pipeline(plan, allowed, session.scaling, shards.card, shards.statistics, centred=centred)

    return pipeline


def _key(session: Session, name: str) -> str:
    """A digest of what determines an encoder's embeddings: its weights, the images, and the code that computes them."""
    weights = sha256(session.folder.encoder) if name == "trained" else session.cell.train_digest
    parts = (session.cell.backbone, session.cell.method)
    return digest_of({"weights": weights, "plugins": _code(*parts), **_input(session)})


def _shared_key(session: Session, backbone: Backbone) -> str:
    """A digest of all that cells have in common where they compute the same from the same encoder.

    The method is not in it, the network is: methods begin with the same weights, but some with stochastic depth.
    """
    weights = hashlib.sha256(repr(backbone).encode())
    for name, value in backbone.state_dict().items():
        weights.update(name.encode() + value.cpu().numpy().tobytes())
    document = {"weights": weights.hexdigest(), "plugins": _code(session.cell.backbone, *session.cell.evaluate)}
    computed = {"precision": session.precision.kind, "threads": torch.get_num_threads(), **surroundings(session.device)}
    del computed["git"]
    return digest_of({**document, **_input(session), **computed, "label_seed": session.cell.labels.seed})


def _code(*instances: Instance) -> list[str]:
    """Digests of plugins."""
    return [plugin_record(instance.row)["digest"] for instance in instances if instance.row]


def _input(session: Session) -> dict[str, Any]:
    """What an encoder sees."""
    return {"scaling": session.scaling.as_json(), "shards": sha256(session.shards.folder / "manifest.json")}


@frozen
class Kept:
    """What an evaluator shows goes to the observers and into the run's folder, under the names of encoder and table.

    Attributes:
        session, observers: The run's.
        encoder: "trained" or "untrained".
        evaluator: The evaluator's own name.
        table: That of its table.
    """

    session: Session
    observers: Observers
    encoder: str
    evaluator: str = ""
    table: str = ""

    def picture(self, name: str, image: NDArray[np.float32]) -> None:
        """A picture, as PNG."""
        name = self._name(name)
        self.observers.picture(name=name, image=image, step=self.session.facts.steps)
        self._write(f"{name}.png", png(image))

    def keep(self, name: str, content: bytes) -> None:
        """A file."""
        self._write(self._name(name), content)

    def projector(self, name: str, vectors: Any, labels: Mapping[str, Sequence[str]], thumbnails: Any) -> None:
        """Points of a space; the observers alone keep them."""
        step, name = self.session.facts.steps, self._name(name)
        self.observers.projector(name=name, vectors=vectors, labels=labels, thumbnails=thumbnails, step=step)

    def _name(self, name: str) -> str:
        return f"{self.encoder}/{in_table(name, self.evaluator, self.table)}"

    def _write(self, name: str, content: bytes) -> None:
        path = self.session.folder.pictures / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)


def in_table(name: str, evaluator: str, table: str) -> str:
    """What is shown as ``name``, told apart from what other tables of the evaluator show.

    A table called like its evaluator changes nothing. Of ``[evaluate.tsne] use = "map"``, "map/class" is "tsne/class",
    "map" is "tsne", and "class" is "tsne/class".
    """
    if table == evaluator:
        return name
    first, _, rest = name.partition("/")
    return "/".join(filter(None, (table, rest if first == evaluator else name)))
