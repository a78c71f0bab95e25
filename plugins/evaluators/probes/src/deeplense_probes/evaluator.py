"""The three probes as evaluators."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from deeplense_registry import Bench, Evaluator, Measurement
from deeplense_registry.evaluation import MIN_TEST, check_targets

from .logistic import predict_classes
from .neighbours import predict_by_neighbours
from .options import KNNOptions, LinearOptions, RidgeOptions
from .protocol import check_kind, known_rows, measure_probe, standardised, validation
from .regression import predict_quantity


class Linear(Evaluator):
    """Classes by logistic regression on standardised embeddings."""

    options: LinearOptions

    def evaluate(self, bench: Bench) -> Iterator[Measurement]:
        """Measure each target at each label budget.

        Raises:
            UserError: A target is unknown or a quantity, a split is missing or too small, or a draw has one class only.
        """
        check_kind(bench, self.options.targets, "linear", "class", instead="ridge")
        for target in self.options.targets:
            yield from self._target(bench, target)

    def _target(self, bench: Bench, target: str) -> Iterator[Measurement]:
        test = known_rows(bench, "test", target, standardised(bench, "test"), MIN_TEST)
        learn = partial(
            predict_classes,
            val=validation(bench, target, self.options.strengths, "linear"),
            test=test.features,
            classes=len(bench.card.targets[target].classes),
            strengths=self.options.strengths,
            iterations=self.options.iterations,
        )
        train = standardised(bench, "train")
        yield from measure_probe(bench, target, self.options.metrics, train=train, truth=test.truth, learn=learn)


class Ridge(Evaluator):
    """Quantities by ridge regression on standardised embeddings."""

    options: RidgeOptions

    def evaluate(self, bench: Bench) -> Iterator[Measurement]:
        """Measure each target at each label budget.

        Raises:
            UserError: A target is unknown or a class, or a split is missing or too small.
        """
        check_kind(bench, self.options.targets, "ridge", "quantity", instead="linear")
        for target in self.options.targets:
            yield from self._target(bench, target)

    def _target(self, bench: Bench, target: str) -> Iterator[Measurement]:
        test = known_rows(bench, "test", target, standardised(bench, "test"), MIN_TEST)
        learn = partial(
            predict_quantity,
            val=validation(bench, target, self.options.alphas, "ridge"),
            test=test.features,
            alphas=self.options.alphas,
        )
        train = standardised(bench, "train")
        yield from measure_probe(bench, target, self.options.metrics, train=train, truth=test.truth, learn=learn)


class KNN(Evaluator):
    """Classes and quantities by nearest neighbours among the embeddings as they are."""

    options: KNNOptions

    def evaluate(self, bench: Bench) -> Iterator[Measurement]:
        """Measure each target at each label budget.

        Raises:
            UserError: A target is unknown, or a split is missing or too small.
        """
        check_targets(bench, self.options.targets, "knn")
        for target in self.options.targets:
            yield from self._target(bench, target)

    def _target(self, bench: Bench, target: str) -> Iterator[Measurement]:
        classes = len(bench.card.targets[target].classes) or None
        test = known_rows(bench, "test", target, bench.embeddings("test"), MIN_TEST)
        learn = partial(
            predict_by_neighbours,
            test=test.features,
            k=self.options.k,
            temperature=self.options.temperature,
            classes=classes,
        )
        train = bench.embeddings("train")
        yield from measure_probe(bench, target, self.options.metrics, train=train, truth=test.truth, learn=learn)
