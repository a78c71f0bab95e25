"""The training loop: steps, hooks, checkpoints, and stopping when asked."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from ..components import RunFacts, UserError
from ..interfaces import Embed, Loss, Method, Progress, Views
from ..spec.tables import TrainTable
from .checkpoint import Checkpoints
from .feed import Feed
from .gradient import Averaged
from .observers import Observers
from .optimisation import Optimisation, as_float, zero_grad
from .pictures import first_views
from .precision import Precision
from .reproducible import Reproducible
from .watch import Watch
from .world import ProcessWorld


class Interrupted(Exception):  # noqa: N818  # no error: somebody asked
    """The run was asked to stop; its state is saved, and the same command continues it."""


class Trainer:
    """Trains one method on one feed, from the newest checkpoint to the last step."""

    def __init__(
        self,
        method: Method,
        optimisation: Optimisation,
        feed: Feed,
        checkpoints: Checkpoints,
        observers: Observers,
        watch: Watch,
        *,
        train: TrainTable,
        facts: RunFacts,
        world: ProcessWorld,
        precision: Precision,
        seed: int,
        embed: Embed,
        stop: Callable[[], bool],
    ) -> None:
        """Take the parts of a run; ``stop`` is asked after every step."""
        self.method, self.optimisation, self.feed = method, optimisation, feed
        self.checkpoints, self.observers, self.watch = checkpoints, observers, watch
        self.train, self.facts, self.stop, self.embed = train, facts, stop, embed
        self.world = world
        self.gradient = (Reproducible if train.reproducible else Averaged)(method, world, precision, seed)
        self._saved = time.monotonic()
        self._pace = Pace(facts.batch_size)

    def run(self, start: int) -> None:
        """Take the steps from ``start`` to the end.

        Raises:
            Interrupted: ``stop`` said so; a checkpoint was written first.
            UserError: The loss or the gradient is no finite number; the message says what to try.
        """
        self.method.train()
        for step, views in self.feed.steps(start, self.method):
            if step == start:
                self.observers.picture(name="views", image=first_views(views[0]), step=step)
            self._step(step, views)
            stop = self.world.any(self.stop()) and step + 1 < self.facts.steps
            if self.world.rank == 0 and (stop or self._due(step + 1)):
                self.checkpoints.save(step + 1, self.method, self.optimisation.optimiser)
                self._saved = time.monotonic()
            if stop:
                raise Interrupted(f"stopped after step {step + 1} of {self.facts.steps}")

    def _step(self, step: int, views: list[Views]) -> None:
        progress = Progress(step=step, steps=self.facts.steps, steps_per_epoch=self.facts.steps_per_epoch)
        with torch.no_grad():
            self.method.prepare(progress, self.embed)
        zero_grad(self.method)
        loss, outputs = self.gradient.backward(views, progress)
        with torch.no_grad():
            self.method.remember(outputs, self.gradient.loss_world, progress)
        norm = self.optimisation.clip()
        self._guard(step, loss, norm)
        self.method.after_backward(progress)
        self.optimisation.step(progress)
        with torch.no_grad():
            self.method.after_step(progress)
        self._pace.tick()
        if (step + 1) % self.train.log_every == 0 or self.watch.epoch_ends(step + 1):
            self.watch.scalars(step + 1, self._scalars(progress, loss, norm))
            self._pace.start()  # looking at the encoder takes time that is not training's

    def _guard(self, step: int, loss: Loss, norm: Tensor) -> None:
        """A single NaN would poison every weight: stop before the optimiser sees it."""
        if self.world.any(not bool(torch.isfinite(loss.total) & torch.isfinite(norm))):
            raise UserError(
                f"step {step + 1}: the loss is {as_float(loss.total):g} and the gradient's norm {as_float(norm):g}; "
                'lower train.learning_rate, lengthen train.warmup_epochs, or set train.precision = "fp32"'
            )

    def _scalars(self, progress: Progress, loss: Loss, norm: Tensor) -> dict[str, float]:
        values = self._averaged({"loss": loss.total, **loss.parts})
        chance = self.method.chance_level()
        if chance:
            values["loss_over_chance"] = values["loss"] / chance
        return values | {
            "gradient_norm": as_float(norm),
            "learning_rate": self.optimisation.learning_rate(progress),
            "weight_decay": self.optimisation.weight_decay(progress),
            "images_per_second": self._pace.rate(),
        }

    def _averaged(self, values: dict[str, Tensor | float]) -> dict[str, float]:
        """The mean of each over the processes."""
        own = torch.tensor([as_float(value) for value in values.values()], device=next(self.method.parameters()).device)
        return dict(zip(values, self.world.mean(own).tolist(), strict=True))

    def _due(self, done: int) -> bool:
        """At the end of an epoch, of the run, and after a while in between."""
        waited = time.monotonic() - self._saved > 60 * self.train.checkpoint_minutes
        return waited or done % self.facts.steps_per_epoch == 0


class Pace:
    """Images per second."""

    def __init__(self, batch_size: int) -> None:
        """Start the clock."""
        self._batch = batch_size
        self.start()

    def start(self) -> None:
        """Start the clock anew."""
        self._steps, self._since = 0, time.monotonic()

    def tick(self) -> None:
        """Count a step."""
        self._steps += 1

    def rate(self) -> float:
        """The rate since the clock was started."""
        return self._steps * self._batch / max(time.monotonic() - self._since, 1e-9)
