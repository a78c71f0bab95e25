"""The training phase of a run, in one process or as one of several."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..interfaces import Method
from ..views import Pipeline
from .encoder import save_encoder
from .feed import Feed
from .observers import Observers
from .optimisation import Optimisation, chosen_recipe
from .session import Session
from .splits import publish_training_images
from .trainer import Trainer
from .watch import Watch, watch_over
from .world import ProcessWorld


def train(session: Session, observers: Observers, world: ProcessWorld, stop: Callable[[], bool]) -> None:
    """Train from the newest checkpoint to the last step, and save the encoder.

    Raises:
        Interrupted: ``stop`` said so.
        UserError: The loss is no number any more, or the disk refuses.
    """
    method = session.method()
    optimisation = Optimisation(method, chosen_recipe(method, session.cell.train), session.facts)
    start = session.checkpoints.restore(method, optimisation.optimiser) or 0
    if world.rank == 0:
        publish_training_images(session.cell, session.shards, session.folder.splits)
    observers.training_started(steps=session.facts.steps, step=start)
    if start < session.facts.steps:
        watch = watch_over(session, method, observers, world.rank, start)
        _trainer(session, method, optimisation, observers, watch, world, stop).run(start)
    if world.rank == 0:
        card = session.shards.card
        about: dict[str, Any] = {"train_digest": session.cell.train_digest, "dataset": card.name}
        about |= {"bands": list(card.bands), "pixel_scale": card.pixel_scale}
        backbone, shape = session.cell.backbone, session.facts.shape
        save_encoder(session.folder, method.encoder(), backbone, shape, session.scaling, about)


def _trainer(
    session: Session,
    method: Method,
    optimisation: Optimisation,
    observers: Observers,
    watch: Watch,
    world: ProcessWorld,
    stop: Callable[[], bool],
) -> Trainer:
    return Trainer(
        method,
        optimisation,
        Feed(session, _pipeline(session, method), world),
        session.checkpoints,
        observers,
        watch,
        train=session.cell.train,
        facts=session.facts,
        world=world,
        precision=session.precision,
        seed=session.cell.seed,
        embed=partial(_embed, session, method),
        stop=stop,
    )


def _pipeline(session: Session, method: Method) -> Pipeline:
    card, statistics = session.shards.card, session.shards.statistics
    centred = method.encoder().centred_crops
    return Pipeline(method.view_plan(), session.cell.views, session.scaling, card, statistics, centred=centred)


def _embed(session: Session, method: Method, function: Callable[[Tensor], Tensor]) -> Tensor:
    """``function`` over the training images in evaluation mode, for methods that cluster them."""
    training = method.training
    method.eval()
    try:
        with torch.no_grad():
            return torch.cat([function(images).float().cpu() for images in session.images("train")])
    finally:
        method.train(training)
