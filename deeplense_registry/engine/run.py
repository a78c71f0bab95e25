"""One cell, from its spec to its measurements; begun, continued, or found finished."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from ..components import BackboneFacts, ImageShape, RunFacts, UserError, derive_seed, load_factory
from ..evaluation import EncoderBench, estimate_statistics, judge
from ..interfaces import Backbone, Measurement, Method
from ..shards import ShardSet, materialise
from ..spec import Cell, Instance, check_facts
from ..views import Pipeline, Scaling
from .checkpoint import Checkpoints, sha256
from .encoder import save_encoder
from .feed import Feed
from .folder import RunFolder
from .observers import Observers, observers_of
from .optimisation import Optimisation, chosen_recipe
from .precision import choose_device, choose_precision
from .provenance import plugin_record, surroundings
from .stopping import stop_signals
from .trainer import Interrupted, Trainer
from .world import SingleWorld

BATCH = 256
"""Images in one forward pass of an evaluation; fixed, since another number gives other bits."""


def run_cell(cell: Cell, folder: RunFolder) -> bool:
    """Run a cell in its folder, or continue it where it was left.

    Returns:
        Whether there was anything to do: a finished cell of the same spec is left as it is.

    Raises:
        UserError: The folder holds a run of another spec, or anything that the run's parts refuse.
        Interrupted: SIGINT or SIGTERM came; calling again continues.
    """
    with folder.locked():
        before = folder.manifest()
        if before is not None and before["train_digest"] != cell.train_digest:
            raise UserError(
                f"{folder.path} holds a run of another spec ({before['train_digest'][:12]}, not "
                f"{cell.train_digest[:12]}): choose another run.name or --runs folder, or delete it"
            )
        if before is not None and before["status"] == "finished" and before["digest"] == cell.digest:
            return False
        Run(cell, folder).go()
    return True


class Run:
    """A cell at work: what its phases share."""

    def __init__(self, cell: Cell, folder: RunFolder) -> None:
        """Settle device, precision and threads."""
        self.cell, self.folder = cell, folder
        self.device = choose_device(cell.execute.device)
        self.precision = choose_precision(cell.train.precision, self.device)
        if cell.train.threads is not None:
            torch.set_num_threads(cell.train.threads)
        if self.device == "cuda":
            torch.backends.cudnn.benchmark = False  # it chooses by timing
            torch.use_deterministic_algorithms(mode=True, warn_only=True)
        self.observers: Observers = observers_of(cell.execute.observers)
        self.started = time.time()

    def go(self) -> None:
        """Data, training, evaluation; the manifest tells how far it came."""
        self.folder.write_spec(self.cell)
        self._publish("running")
        self.observers.run_started(folder=self.folder.path, spec=self.cell.resolved)
        status = "failed"
        try:
            self._prepare()
            with stop_signals() as stop:
                self._train(stop)
            self._evaluate()
            status = "finished"
        except (Interrupted, KeyboardInterrupt):
            status = "interrupted"
            raise
        finally:
            self._publish(status)
            self.observers.run_ended(status=status)

    def _prepare(self) -> None:
        """Shards, facts, and the checks that had to wait for them."""
        self.observers.phase(name="data")
        self.shards = ShardSet.open(self._shards_folder())
        card, train = self.shards.card, self.cell.train
        images = self.shards.count("train")
        self.facts = RunFacts(
            shape=card.shape,
            images=images,
            batch_size=train.batch_size,
            micro_batch=train.micro_batch or train.batch_size,
            epochs=train.epochs,
            steps=train.epochs * (images // train.batch_size),
            backbone=_backbone_facts(self.cell.backbone, card.shape),
        )
        if problems := check_facts(self.cell, self.facts):
            raise UserError("\n".join(problems))
        self.scaling = Scaling(self.cell.flux, self.shards.statistics)
        self.checkpoints = Checkpoints(self.folder.checkpoints, self.cell.train_digest, train.keep_checkpoints)

    def _shards_folder(self) -> Path:
        """Where the shards lie, built unless they are there; their bytes do not depend on how many build them."""
        dataset = self.cell.dataset
        if dataset.row is None:
            return Path(dataset.options.path)
        report = partial(_report, self.observers)
        return materialise(dataset, processes=len(os.sched_getaffinity(0)), progress=report)

    def _method(self) -> Method:
        """The method, newly initialised: the same weights for the same seed, whatever happened before."""
        torch.manual_seed(derive_seed(self.cell.seed, "init"))
        make_backbone = partial(_make(self.cell.backbone), shape=self.facts.shape)
        method: Method = _make(self.cell.method)(make_backbone=make_backbone, facts=self.facts)
        return method.to(torch.device(self.device))

    def _train(self, stop: Callable[[], bool]) -> None:
        method = self._method()
        optimisation = Optimisation(method, chosen_recipe(method, self.cell.train), self.facts)
        start = self.checkpoints.restore(method, optimisation.optimiser) or 0
        self.observers.training_started(steps=self.facts.steps, step=start)
        if start < self.facts.steps:
            self._trainer(method, optimisation, stop).run(start)
        about = {"train_digest": self.cell.train_digest, "dataset": self.shards.card.name}
        save_encoder(self.folder, method.encoder(), self.cell.backbone, self.facts.shape, self.scaling, about)

    def _trainer(self, method: Method, optimisation: Optimisation, stop: Callable[[], bool]) -> Trainer:
        world = SingleWorld()
        card = self.shards.card
        pipeline = Pipeline(
            method.view_plan(),
            self.cell.views,
            self.scaling,
            card,
            self.shards.statistics,
            centred=method.encoder().centred_crops,
        )
        feed = Feed(self.shards, pipeline, self.facts, world, device=self.device, seed=self.cell.seed)
        return Trainer(
            method,
            optimisation,
            feed,
            self.checkpoints,
            self.observers,
            train=self.cell.train,
            facts=self.facts,
            world=world,
            precision=self.precision,
            seed=self.cell.seed,
            embed=partial(self._embed, method),
            stop=stop,
        )

    def _embed(self, method: Method, function: Callable[[Tensor], Tensor]) -> Tensor:
        """``function`` over the training images, for methods that cluster them."""
        training = method.training
        method.eval()
        try:
            with torch.no_grad():
                return torch.cat([function(images).float().cpu() for images in self._images("train")])
        finally:
            method.train(training)

    def _images(self, split: str) -> Iterator[Tensor]:
        count = self.shards.count(split)
        for begin in range(0, count, BATCH):
            index = torch.arange(begin, min(begin + BATCH, count)).numpy()
            images = torch.from_numpy(self.shards.images(split, index)).to(self.device)
            yield self.scaling(images[:, 0] if images.ndim == 5 else images)  # the first partner

    def _evaluate(self) -> None:
        """Judge the trained encoder beside the untrained one."""
        if not self.cell.evaluate:
            self.folder.write_measurements([])
            return
        self.observers.phase(name="evaluation")
        measurements: list[Measurement] = []
        for name in ("trained", "untrained"):
            method = self._method()
            if name == "trained":
                self.checkpoints.restore(method)
            else:
                estimate_statistics(method.encoder(), self._images("train"))
            for measurement in self._judge(name, method):
                measurements.append(measurement)
                self.observers.measurement(measurement=measurement)
        self.folder.write_measurements(measurements)

    def _judge(self, encoder: str, method: Method) -> Iterator[Measurement]:
        bench = EncoderBench(
            backbone=method.encoder(),
            encoder=encoder,
            card=self.shards.card,
            source=self.shards,
            scaling=self.scaling,
            labels=self.cell.labels,
            device=torch.device(self.device),
            assign=method.assign,
            on_picture=self._picture,
        )
        for instance in self.cell.evaluate:
            yield from judge(_make(instance)(), instance.name, bench)

    def _picture(self, name: str, image: Any) -> None:
        self.observers.picture(name=name, image=image, step=self.facts.steps)

    def _publish(self, status: str) -> None:
        cell = self.cell
        rows = [one.row for one in (cell.dataset, cell.method, cell.backbone, *cell.evaluate) if one.row is not None]
        shards = getattr(self, "shards", None)
        self.folder.write_manifest(
            {
                "name": cell.name,
                "status": status,
                "digest": cell.digest,
                "train_digest": cell.train_digest,
                "seed": cell.seed,
                "dataset": cell.dataset.name,
                "method": cell.method.name,
                "backbone": cell.backbone.name,
                "plugins": [plugin_record(row) for row in rows],
                "precision": attrs.asdict(self.precision),
                "threads": torch.get_num_threads(),
                "shards": sha256(shards.folder / "manifest.json") if shards else None,
                "started": self.started,
                "ended": time.time() if status != "running" else None,
                **surroundings(self.device),
            }
        )


def _report(observers: Observers, done: int, total: int | None) -> None:
    observers.progress(done=done, total=total)


def _make(instance: Instance) -> Callable[..., Any]:
    """The constructor of a spec's instance, its options given."""
    if instance.row is None:
        raise UserError(f"{instance.name} is built in and is not constructed")
    factory: Callable[..., Any] = load_factory(instance.row)
    return partial(factory, instance.options)


def _backbone_facts(instance: Instance, shape: ImageShape) -> BackboneFacts:
    """What the options say of the backbone; where they say nothing, what a blank image shows."""
    if hasattr(instance.options, "facts"):
        facts: BackboneFacts = instance.options.facts(shape)
        return facts
    backbone: Backbone = _make(instance)(shape=shape).eval()
    with torch.no_grad():
        height, width = backbone(torch.zeros(2, shape.channels, shape.height, shape.width)).grid.shape[-2:]
    batch_norm = any(isinstance(part, torch.nn.modules.batchnorm._BatchNorm) for part in backbone.modules())
    return BackboneFacts(width=backbone.width, min_size=1, grid=(height, width), batch_norm=batch_norm)
