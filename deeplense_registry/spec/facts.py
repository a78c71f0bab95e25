"""What is known of a run before torch is imported, and what must hold of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..components import DatasetFacts, ImageShape, RunFacts, UserError
from .model import Cell, Instance
from .problems import Fault, Faults, dotted
from .skew import skew_faults


def run_facts(cell: Cell, dataset: DatasetFacts | None = None) -> RunFacts | None:
    """The facts of a cell.

    Args:
        cell: The cell.
        dataset: The facts of its data where they exist already; by default what the data set's options say.

    Returns:
        ``None`` while the shape or the number of training images is unknown, or the backbone's options tell no facts;
        and with a skew of pretraining, since only the targets tell how many images it leaves.

    Raises:
        UserError: A plugin's options refuse, in their own words.
    """
    if cell.skew is not None and cell.skew.on == "both":
        return None
    return _whole(cell, dataset or _ask("dataset", cell.dataset))


def _whole(cell: Cell, dataset: DatasetFacts | None) -> RunFacts | None:
    """The facts of a cell that trains on the whole training split."""
    if dataset is None or "train" not in dataset.images:
        return None
    backbone = _ask("backbone", cell.backbone, dataset.shape)
    if backbone is None:
        return None
    images, train = dataset.images["train"], cell.train
    return RunFacts(
        shape=dataset.shape,
        images=images,
        batch_size=train.batch_size,
        micro_batch=train.micro_batch or train.batch_size,
        epochs=train.epochs,
        steps=train.epochs * (images // train.batch_size),
        backbone=backbone,
    )


def check_facts(cell: Cell, facts: RunFacts) -> list[str]:
    """What is wrong with a cell whose facts are these; the engine asks again once the data exist."""
    return [f"{dotted(fault.path)}: {fault.text}" for fault in _faults(cell, facts)]


def cell_faults(cell: Cell, dataset: DatasetFacts | None = None) -> list[Fault]:
    """What is wrong with a cell as far as its facts are known; arguments as of :func:`run_facts`.

    A skew is taken for the whole training split, the most that it can leave; the engine asks again.
    """
    try:
        dataset = dataset or _ask("dataset", cell.dataset)
        facts = _whole(cell, dataset)
    except Faults as error:
        return [*_batches(cell), *_warmup(cell), *error.faults]
    faults = list(_faults(cell, facts)) if facts else [*_batches(cell), *_warmup(cell)]
    return [*faults, *_skew(cell, dataset)]


def _skew(cell: Cell, dataset: DatasetFacts | None) -> Iterator[Fault]:
    if cell.skew is not None and dataset is not None and dataset.targets:
        yield from skew_faults(cell.skew, dataset.targets)


def _faults(cell: Cell, facts: RunFacts) -> Iterator[Fault]:
    batches = [*_batches(cell), *_steps(cell, facts)]
    yield from batches
    yield from _warmup(cell)
    yield from _images(cell, facts)
    yield from _budgets(cell, facts)
    if not batches:  # a plugin may rely on batches that fit
        yield from _plugins(cell, facts)


def _batches(cell: Cell) -> Iterator[Fault]:
    """micro_batch divides batch_size, and the processes share the micro-batches evenly."""
    batch, micro = cell.train.batch_size, cell.train.micro_batch or cell.train.batch_size
    if batch % micro:
        near = max(size for size in range(1, micro + 1) if batch % size == 0)
        yield Fault(("train", "micro_batch"), f"{micro} does not divide batch_size {batch}; {near} does")
        return
    count, processes = batch // micro, cell.execute.processes
    if count % processes:
        near = max(size for size in range(1, processes + 1) if count % size == 0)
        remedy = f"use {near}" + ("" if batch % processes else f", or train.micro_batch = {batch // processes}")
        pieces = "1 micro-batch" if count == 1 else f"{count} micro-batches"
        text = f"{processes} processes cannot share {pieces} (batch_size / micro_batch) evenly; {remedy}"
        yield Fault(("execute", "processes"), text)


def _steps(cell: Cell, facts: RunFacts) -> Iterator[Fault]:
    if facts.batch_size > facts.images:
        text = f"{facts.batch_size} is more than the {facts.images} training images; an epoch would have no step"
        yield Fault(("train", "batch_size"), text)
    if facts.micro_batch == 1 and facts.backbone.batch_norm:
        key = "micro_batch" if cell.train.micro_batch else "batch_size"
        text = f'1 image has no batch statistics, and backbone "{cell.backbone.name}" normalises by them; use 2 or more'
        yield Fault(("train", key), text)


def _warmup(cell: Cell) -> Iterator[Fault]:
    """The warm-up ends before the run does: the table's, or that of the published recipe where the method tells it."""
    epochs, warmup = cell.train.epochs, cell.train.warmup_epochs
    if warmup is not None and warmup > epochs:
        text = f"{warmup:g} is longer than the run: set it to at most epochs = {epochs}"
        yield Fault(("train", "warmup_epochs"), text)
    published = getattr(cell.method.options, "paper_warmup", 0.0)
    if warmup is None and cell.train.recipe == "paper" and published > epochs:
        text = f"the published warm-up of {published:g} epochs is longer: set warmup_epochs, or train longer"
        yield Fault(("train", "epochs"), text)


def _images(cell: Cell, facts: RunFacts) -> Iterator[Fault]:
    channels, side = facts.shape.channels, min(facts.shape.height, facts.shape.width)
    if cell.views.policy == "paper" and channels != 3:
        text = f'"paper" is made for 3 bands; dataset "{cell.dataset.name}" has {channels}: use "lens"'
        yield Fault(("views", "policy"), text)
    if side < facts.backbone.min_size:
        text = f'takes images from {facts.backbone.min_size} pixels; dataset "{cell.dataset.name}" has {facts.shape}'
        yield Fault(("backbone", cell.backbone.name), text)


def _budgets(cell: Cell, facts: RunFacts) -> Iterator[Fault]:
    for n, budget in enumerate(cell.labels.budgets if cell.evaluate else ()):
        if isinstance(budget, int) and budget > facts.images:
            text = f'{budget} labels of {facts.images} training images; use fewer, or "all"'
            yield Fault(("labels", "budgets", n), text)


def _plugins(cell: Cell, facts: RunFacts) -> Iterator[Fault]:
    kinds = (("dataset", cell.dataset), ("method", cell.method), ("backbone", cell.backbone))
    for kind, instance in (*kinds, *(("evaluate", one) for one in cell.evaluate)):
        check = getattr(instance.options, "check", None)
        for text in check(facts) if check else ():
            yield Fault((kind, instance.name), text)


def _ask(kind: str, instance: Instance, *arguments: ImageShape) -> Any:
    """What the options' ``facts`` say, or ``None`` where they say nothing."""
    facts = getattr(instance.options, "facts", None)
    try:
        return facts(*arguments) if facts else None
    except (UserError, ValueError) as error:
        raise Faults([Fault((kind, instance.name), str(error))]) from error
