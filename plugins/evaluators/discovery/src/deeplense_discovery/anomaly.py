"""A class that the reference set lacks must stand out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from sklearn.metrics import roc_auc_score

from deeplense_registry import Bench, Evaluator, Measurement, UserError

from .detectors import DETECTORS
from .options import AnomalyOptions
from .protocol import Array, Known, check_targets, known, measured

MIN_REFERENCE = 10
"""The least number of reference images."""


class Anomaly(Evaluator):
    """Test images of a held-out class against test images of the others, by their embeddings.

    The reference set is the training images of the other classes; labels serve to leave the held-out class out and for
    nothing else. ``auroc_DETECTOR_NAME`` is the area under the ROC curve of the detector's score with class NAME held
    out, ``auroc_DETECTOR`` the mean over the classes held out; .5 is chance. Intervals are those of other test images,
    for the encoder and the reference set as they are. Images whose class is unknown are left out.

    What is held out is the reference set. The encoder itself has seen images of the class, without labels, unless the
    training split has none. To measure a class that nothing has seen, give a data set whose training split lacks it and
    whose test split has it (its card still names it), and set ``held_out`` to it: the reference set is then the whole
    training split, as it should be.
    """

    options: AnomalyOptions

    def evaluate(self, bench: Bench) -> Iterator[Measurement]:
        """Measure each detector, for each class held out and in the mean.

        Raises:
            UserError: The target is unknown or a quantity, the class is unknown, the test split lacks the class or all
                others, or fewer than 10 reference images remain.
        """
        target = self.options.target
        check_targets(bench, (target,), "anomaly", "class")
        names = bench.card.targets[target].classes
        held = self._held_out(names)
        train = known(bench, "train", target, MIN_REFERENCE, "a reference set")
        test = known(bench, "test", target, 2, "a measurement")
        _check(names, held, train, test)
        for detector in self.options.detectors:
            scores = np.stack([self._scores(bench, detector, train, test, number) for number in held], 1)  # (M, h)
            mean = [(f"auroc_{detector}", tuple(enumerate(held)))] if len(held) > 1 else []
            own = [(f"auroc_{detector}_{names[number]}", ((n, number),)) for n, number in enumerate(held)]
            for metric, columns in mean + own:
                score, rng = partial(_auroc, columns), bench.rng("anomaly", target)
                yield measured(metric, score, test.truth, [scores], rng, bounds=(0.0, 1.0), target=target)

    def _held_out(self, names: Sequence[str]) -> list[int]:
        if self.options.held_out is None:
            return list(range(len(names)))
        if self.options.held_out not in names:
            raise UserError(
                f"[evaluate.anomaly] held_out: {self.options.target!r} has no class {self.options.held_out!r}; its "
                f"classes: {', '.join(map(repr, names))}"
            )
        return [names.index(self.options.held_out)]

    def _scores(self, bench: Bench, detector: str, train: Known, test: Known, number: int) -> Array:
        seed = int(bench.rng("anomaly", detector, number).integers(2**31))
        reference = train.features[train.truth != number]
        return DETECTORS[detector](reference, test.features, self.options, seed)


def _auroc(columns: Sequence[tuple[int, int]], truth: Array, scores: Array) -> float:
    """The mean over (column of ``scores`` (M, h), class held out)."""
    return float(np.mean([roc_auc_score(truth == number, scores[:, column]) for column, number in columns]))


def _check(names: Sequence[str], held: Sequence[int], train: Known, test: Known) -> None:
    if len(set(test.truth.tolist())) < 2:
        raise UserError(
            f"[evaluate.anomaly]: all {len(test.truth)} test images whose class is known are of one class; a held-out "
            "class is told from others, so the test split needs two or more"
        )
    for number in held:
        remain = int((train.truth != number).sum())
        if not (test.truth == number).any():
            raise UserError(
                f"[evaluate.anomaly]: no test image is of class {names[number]!r}, so it cannot be held out; add some, "
                "or set held_out to another class"
            )
        if remain < MIN_REFERENCE:
            raise UserError(
                f"[evaluate.anomaly]: with {names[number]!r} held out {remain} training images remain as reference, "
                f"and {MIN_REFERENCE} are the least; add images of other classes, or set held_out to another class"
            )
