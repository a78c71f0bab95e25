"""The two trainings as evaluators."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from attrs import asdict, frozen
from numpy.typing import NDArray
from torch import Tensor

from deeplense_registry import Bench, Draw, Evaluator, Measurement, UserError
from deeplense_registry.evaluation import (
    MIN_TEST,
    Prediction,
    check_targets,
    known_images,
    measure,
    metrics_for,
)
from deeplense_registry.spec import ViewsTable

from .choosing import BATCH, Images, badness, tensor_of, validation_images
from .objective import objective_for
from .options import FinetuneOptions, SupervisedOptions
from .training import Network, batches_of, check_finite, outputs_of, train

_SEEDS = 2**63 - 1
_ABOUT_OTHERS = ("targets", "metrics", "draws", "largest_budget")  # options that change no single training


class Finetune(Evaluator):
    """The whole trained encoder learns; of the untrained one, which would be ``supervised``, nothing is measured."""

    options: FinetuneOptions

    def evaluate(self, bench: Bench) -> Iterator[Measurement]:
        """Measure each target at each label budget.

        Raises:
            UserError: A target, budget or metric does not exist or suit, a split is missing or too small, or training
                diverges.
        """
        if bench.encoder == "trained":
            yield from _measured(bench, self.options, "finetune", layer_decay=self.options.layer_decay)


class Supervised(Evaluator):
    """The untrained encoder learns; its measurements are those of an encoder called "supervised"."""

    options: SupervisedOptions

    def evaluate(self, bench: Bench) -> Iterator[Measurement]:
        """Measure each target at each label budget, on the bench of the untrained encoder alone.

        Raises:
            UserError: As :meth:`Finetune.evaluate`.
        """
        if bench.encoder == "untrained":
            yield from _measured(bench, self.options, "supervised", layer_decay=1.0)


def _measured(
    bench: Bench, options: FinetuneOptions | SupervisedOptions, name: str, layer_decay: float
) -> Iterator[Measurement]:
    check_targets(bench, options.targets, name)
    for target in options.targets:
        metrics_for(options.metrics, bench.card.targets[target])  # before anything is trained
        task = Task(
            bench=bench,
            options=options,
            target=target,
            layer_decay=layer_decay,
            test=known_images(bench, "test", target, MIN_TEST),
            val=validation_images(bench, options, target, name),
        )
        budgets = _chosen_draws(bench, target, options.largest_budget, options.draws, name)
        encoder = "" if name == "finetune" else name
        truth = task.test[1]
        yield from measure(
            bench, target, options.metrics, truth=truth, learn=task.learn, budgets=budgets, encoder=encoder
        )


def _chosen_draws(bench: Bench, target: str, largest: int | None, most: int, name: str) -> list[Sequence[Draw]]:
    """Of each budget up to ``largest`` labels ``most`` draws: of seed 0 the first ones, of seed 1 the next, in turn.

    So several seeds see more of what labels do than one, at the same cost.
    """
    sizes = {len(draws[0].index): _turn(draws, bench.seed, most) for draws in bench.draws(target)}
    chosen = [draws for size, draws in sizes.items() if largest is None or size <= largest]
    if not chosen:
        raise UserError(
            f"[evaluate.{name}] largest_budget: no label budget of {target!r} is {largest} or less; the smallest is "
            f"{min(sizes)}"
        )
    return chosen


def _turn(draws: Sequence[Draw], seed: int, most: int) -> Sequence[Draw]:
    """Those of a seed; two seeds have the same or none in common."""
    start = seed % max(1, len(draws) // most) * most
    return draws[start : start + most]


@frozen(eq=False, kw_only=True)
class Task:
    """A target to be learned from one draw after another."""

    bench: Bench
    options: FinetuneOptions | SupervisedOptions
    target: str
    layer_decay: float
    test: Images
    val: Images | None

    def learn(self, draw: Draw) -> Prediction:
        """Train on a draw and predict the labelled test images; the runs of a survey share a training from scratch.

        Raises:
            UserError: Training diverges, or the draw does not tell values apart.
        """
        if self.bench.encoder == "trained":
            return Prediction(self._trained(draw))
        training = asdict(self.options, filter=lambda field, _: field.name not in _ABOUT_OTHERS)
        depends = {"options": training, "target": self.target, "draw": draw.number, "index": draw.index.tolist()}
        return Prediction(self.bench.once("supervised", depends, lambda: self._trained(draw)))

    def _trained(self, draw: Draw) -> NDArray[Any]:
        """(M, K) class probabilities or (M,) quantities.

        Batches, views and dropout depend on the label seed and the draw alone, so that trainings of the same draw see
        the same. Dropout and stochastic depth take no generator: torch's own is seeded, and put back afterwards.
        """
        rng = self.bench.rng("finetune", self.target, len(draw.index), draw.number)
        on_gpu = [self.bench.device] if self.bench.device.type == "cuda" else []
        with torch.random.fork_rng(devices=on_gpu):
            torch.manual_seed(int(rng.integers(_SEEDS)))
            return self._learn(draw.index, rng)

    def _learn(self, index: NDArray[np.int64], rng: np.random.Generator) -> NDArray[Any]:
        """(M, K) or (M,)."""
        bench, options = self.bench, self.options
        truth = bench.targets("train", self.target)[index]
        classes = len(bench.card.targets[self.target].classes)
        objective = objective_for(options, truth, classes, bench.device)
        network = Network(bench.fresh_encoder(), objective.outputs, bench.autocast).to(bench.device)
        order = batches_of(truth, options, options.steps, rng)
        train(
            network,
            objective,
            self._batches(index[order], truth[order], int(rng.integers(_SEEDS))),
            options,
            steps=len(order),
            learning_rate=options.learning_rate,
            layer_decay=self.layer_decay,
            patience=options.patience,
            validate=None if self.val is None else badness(bench, options, self.val, objective, network),
        )
        outputs = outputs_of(network, bench.stream("test", self.test[0], BATCH))
        check_finite(float(outputs.abs().max()), "an output of the fine-tuned network")
        predicted: NDArray[Any] = objective.predict(outputs).double().cpu().numpy()
        return predicted

    def _batches(self, rows: NDArray[np.int64], truth: NDArray[Any], seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Views (b, C, H, W) of the images at ``rows`` (S, b), each time new, with their truth."""
        options = self.options
        table = ViewsTable(
            rotate=options.rotate, flip=options.flip, shift=options.shift, zoom=options.zoom, noise=options.noise
        )
        views = self.bench.views("train", rows.ravel(), rows.shape[1], seed=seed, table=table)
        for images, known in zip(views, truth, strict=True):
            yield images, tensor_of(known, self.bench.device)
