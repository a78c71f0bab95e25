"""Inference is to be trusted near labelled images only: does their distance foretell errors?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import inf
from typing import Any

import numpy as np

from deeplense_registry import Bench, Evaluator, Measurement
from deeplense_registry.evaluation import embed
from deeplense_registry.spec import ViewsTable

from . import risk
from .curves import risk_curves
from .options import TrustOptions
from .probe import judge_images
from .protocol import CHUNK, Array, Bounds, Known, check_split, check_targets, known, measured

Judgements = Mapping[str, Array]
"""Of one draw, by the suffix of its measurements ("", "_shifted", "_both"): (R, V, 3), see :mod:`.risk`."""
Score = Callable[[Array], float]


class Trust(Evaluator):
    """A linear probe learns from each label draw; an image's score is its distance to the nearest labelled images.

    Features are standardised by the training split; the distance is the mean Euclidean distance to the k nearest images
    of the draw; the probe is logistic regression (classes) or ridge regression (quantities) of fixed strength. Losses
    are 0 and 1 for a right and a wrong class, and the absolute error of a quantity in its unit.

    For each budget, on test images (``METRIC``), on shifted images (``METRIC_shifted``) and on all of them
    (``METRIC_both``): ``error_auroc``, the score as a detector of errors (a wrong class, an absolute error above the
    median); ``aurc``, the mean risk over coverages; ``risk`` of all, and ``risk_at_80`` of the most trusted 80 %
    (``coverage``). ``ood_auroc`` is the score as a detector of shifted images among all.

    A draw with fewer than 5 errors, or 5 images without, has no ``error_auroc``; the mean is over the other draws, and
    ``error_auroc_undefined`` is the fraction of draws left out. Intervals are those of other draws and test images;
    both views of an image are resampled together.
    """

    options: TrustOptions

    def evaluate(self, bench: Bench) -> Iterator[Measurement]:
        """Measure each target at each label budget, and show the risk-coverage curves.

        Raises:
            UserError: A target or the shifted split is unknown, a split has too few images with the target, or a draw
                has one class only.
        """
        check_targets(bench, self.options.targets, "trust")
        if self.options.shifted not in ("views", "none"):
            check_split(bench, self.options.shifted, "trust")
        for target in self.options.targets:
            yield from self._target(bench, target)

    def _target(self, bench: Bench, target: str) -> Iterator[Measurement]:
        test = known(bench, "test", target, 2 * risk.FEWEST, "[evaluate.trust]")
        shifted = self._shifted(bench, target, test)
        curves: dict[int, list[Judgements]] = {}
        for draws in bench.draws(target):
            judged = [self._judge(bench, target, draw.index, test, shifted) for draw in draws]
            labels = len(draws[0].index)
            curves[labels] = judged
            yield from self._measure(bench, target, labels, judged)
        kind = bench.card.targets[target]
        bench.picture(f"trust/{target}", risk_curves(target, kind, bench.encoder, curves))

    def _shifted(self, bench: Bench, target: str, test: Known) -> Known | None:
        """Images out of distribution: the test images seen otherwise, or another split."""
        if self.options.shifted == "none":
            return None
        if self.options.shifted != "views":
            return known(bench, self.options.shifted, target, 2 * risk.FEWEST, "[evaluate.trust] shifted")
        table = ViewsTable(
            rotate=False, flip=False, shift=0.0, zoom=(1.0, 1.0), noise=self.options.noise, psf=self.options.psf
        )
        seed = int(bench.rng("trust", "views").integers(2**31))
        views = bench.views("test", test.index, CHUNK, seed=seed, table=table)
        return Known(test.index, embed(bench.fresh_encoder(), views, len(test.index)), test.truth)

    def _judge(self, bench: Bench, target: str, drawn: Array, test: Known, shifted: Known | None) -> Judgements:
        sets = [test] if shifted is None else [test, shifted]
        train, truth = bench.embeddings("train"), bench.targets("train", target)
        judged = judge_images(
            train,
            Known(drawn, train[drawn], truth[drawn]),
            np.concatenate([one.features for one in sets]),
            np.concatenate([one.truth for one in sets]),
            strength=self.options.strength,
            k=self.options.k,
        )
        count = len(test.truth)
        rows = np.column_stack((judged, np.arange(len(judged)) >= count))  # (M + M', 3)
        inside, outside = rows[:count, None], rows[count:, None]
        if shifted is None:
            return {"": inside}
        paired = self.options.shifted == "views"
        both = np.concatenate((inside, outside), 1 if paired else 0)
        return {"": inside, "_shifted": outside, "_both": both}

    def _measure(self, bench: Bench, target: str, labels: int, judged: Sequence[Judgements]) -> Iterator[Measurement]:
        quantity = not bench.card.targets[target].classes
        for suffix in judged[0]:
            own = suffix == "_shifted" and self.options.shifted != "views"
            fields: dict[str, Any] = {
                "target": target,
                "labels": labels,
                "split": self.options.shifted if own else "test",
            }
            everyone = [one[suffix] for one in judged]
            ranked = [one for one in everyone if risk.defined(one, quantity=quantity)]
            for name, score, bounds, draws in self._scores(suffix, everyone, ranked, quantity=quantity):
                rng = bench.rng("interval", target, labels)  # the same resamples for every metric and encoder
                images = np.zeros(len(everyone[0]))  # a judgement has its truth within
                yield measured(name, partial(_judged, score), images, draws, rng, bounds=bounds, **fields)
            if len(ranked) < len(everyone):
                share = 1 - len(ranked) / len(everyone)
                fields.update(value=share, low=share, high=share, repeats=len(everyone))
                yield Measurement(metric=f"error_auroc_undefined{suffix}", **fields)

    def _scores(
        self, suffix: str, everyone: list[Array], ranked: list[Array], *, quantity: bool
    ) -> Iterator[tuple[str, Score, Bounds, list[Array]]]:
        """What is measured: its name, how, its range and on which draws."""
        coverage, positive = self.options.coverage, (0.0, inf if quantity else 1.0)
        if ranked:
            yield f"error_auroc{suffix}", partial(risk.error_auroc, quantity=quantity), (0.0, 1.0), ranked
        yield f"aurc{suffix}", risk.area, positive, everyone
        yield f"risk{suffix}", partial(risk.risk_at, coverage=1.0), positive, everyone
        yield f"risk_at_{100 * coverage:g}{suffix}", partial(risk.risk_at, coverage=coverage), positive, everyone
        if suffix == "_both":
            yield "ood_auroc", risk.outside_auroc, (0.0, 1.0), everyone


def _judged(score: Score, _: Array, judged: Array) -> float:
    return score(judged)
