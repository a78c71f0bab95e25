"""What the phases of a run share: its cell opened on real shards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor, nn

from ..components import BackboneFacts, ImageShape, RunFacts, UserError, derive_seed, load_factory
from ..interfaces import Backbone, Method
from ..shards import ShardSet, materialise
from ..spec import Cell, FluxTable, Instance, check_facts
from ..views import Scaling
from .allocation import keep_freed_memory
from .checkpoint import Checkpoints
from .folder import RunFolder
from .precision import choose_device, choose_precision
from .splits import training_shards

BATCH = 256
"""Images in one forward pass outside training; fixed, since another number gives other bits."""

Report = Callable[[int, "int | None"], None]


class Session:
    """A cell, its folder, its shards, and what follows from them.

    Attributes:
        cell, folder: What runs, and where.
        device, precision: Where it computes, and how.
        shards: The images; of a skew on pretraining those that it leaves.
        facts: What a method may know of the run.
        scaling: Flux to the encoder's input.
        checkpoints: The run's.
    """

    def __init__(self, cell: Cell, folder: RunFolder, report: Report) -> None:
        """Build the shards unless they are there, and check what had to wait for them.

        Args:
            cell: What runs.
            folder: Where.
            report: ``report(done, total)`` while shards are built.

        Raises:
            UserError: The data or the facts are not what the spec needs; every reason is named.
        """
        self.cell, self.folder = cell, folder
        self.device = choose_device(cell.execute.device)
        self.precision = choose_precision(cell.train.precision, self.device)
        settle(self.device, cell.train.threads or (1 if cell.train.reproducible else None))
        self.shards = training_shards(cell, ShardSet.open(shards_folder(cell.dataset, report)))
        self.facts = self._facts()
        if problems := check_facts(cell, self.facts):
            raise UserError("\n".join(problems))
        flux = cell.flux if cell.views.policy == "lens" else FluxTable(scaling="minmax")  # photographs lie in [0, 1]
        self.scaling = Scaling(flux, self.shards.statistics)
        self.checkpoints = Checkpoints(folder.checkpoints, cell.train_digest, cell.train.keep_checkpoints)

    def method(self) -> Method:
        """The method, newly initialised: the same weights for the same seed, whatever happened before."""
        torch.manual_seed(derive_seed(self.cell.seed, "init"))
        make_backbone = partial(constructor(self.cell.backbone), shape=self.facts.shape)
        method: Method = constructor(self.cell.method)(make_backbone=make_backbone, facts=self.facts)
        return method.to(torch.device(self.device))

    def images(self, split: str, index: NDArray[np.int64] | None = None) -> Iterator[Tensor]:
        """Images of a split, at ``index`` or all, unaugmented and scaled, in batches; of partners the first."""
        index = np.arange(self.shards.count(split)) if index is None else index
        for begin in range(0, len(index), BATCH):
            images = torch.from_numpy(self.shards.images(split, index[begin : begin + BATCH])).to(self.device)
            yield self.scaling(images[:, 0] if images.ndim == 5 else images)

    def _facts(self) -> RunFacts:
        train, shape = self.cell.train, self.shards.card.shape
        images = self.shards.count("train")
        return RunFacts(
            shape=shape,
            images=images,
            batch_size=train.batch_size,
            micro_batch=train.micro_batch or train.batch_size,
            epochs=train.epochs,
            steps=train.epochs * (images // train.batch_size),
            backbone=backbone_facts(self.cell.backbone, shape),
        )


def settle(device: str, threads: int | None) -> None:
    """Make kernels a matter of the spec and the machine, not of a timing; and let memory be used again.

    Numpy, scipy and scikit-learn bring thread pools of their own, which would take every core: they get torch's number,
    the one that is recorded.
    """
    keep_freed_memory()
    if threads is not None:
        torch.set_num_threads(threads)
    threadpool_limits(torch.get_num_threads())
    if device == "cuda":
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(mode=True, warn_only=True)


def shards_folder(dataset: Instance, report: Report) -> Path:
    """Where a data set's shards lie; they are built unless they are there, the same bytes however many build them."""
    return materialise(dataset, processes=os.cpu_count() or 1, progress=report)


def constructor(instance: Instance) -> Callable[..., Any]:
    """The constructor of a spec's instance, its options given."""
    if instance.row is None:
        raise UserError(f"{instance.name} is built in and is not constructed")
    factory: Callable[..., Any] = load_factory(instance.row)
    return partial(factory, instance.options)


def backbone_facts(instance: Instance, shape: ImageShape) -> BackboneFacts:
    """What the options say of the backbone; where they say nothing, what a blank image shows."""
    if hasattr(instance.options, "facts"):
        facts: BackboneFacts = instance.options.facts(shape)
        return facts
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        backbone: Backbone = constructor(instance)(shape=shape).eval()
        height, width = backbone(torch.zeros(2, shape.channels, shape.height, shape.width)).grid.shape[-2:]
    batch_norm = any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in backbone.modules())
    return BackboneFacts(width=backbone.width, min_size=1, grid=(height, width), batch_norm=batch_norm)
