"""Do the nearest images share classes and quantities? (Stein et al. 2021, arXiv:2110.13151, section 4)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import inf

import numpy as np

from deeplense_registry import Bench, Evaluator, Measurement, UserError

from .gallery import gallery, spread_out
from .options import SimilarityOptions
from .protocol import Array, Known, check_split, check_targets, known, measured
from .search import Neighbours, nearest, nearest_by_faiss

_RANDOM = 100  # random images that each query is compared with


class Similarity(Evaluator):
    """The test images search another split by cosine.

    ``precision_at_k_NAME`` of a class is the share of a query's k nearest images that are of its own class, averaged
    over the queries of that class; ``precision_at_k`` is the unweighted mean over classes. Neighbours at random give
    the share of the class among the images searched, and 1 / classes in the mean.

    ``spread_at_k`` of a quantity is the median absolute difference between query and neighbour, over that between query
    and random image: 0 is perfect, 1 chance.

    Intervals are those of other test images. Images whose target is unknown are neither queries nor found.
    """

    options: SimilarityOptions

    def evaluate(self, bench: Bench) -> Iterator[Measurement]:
        """Measure each target, and show a gallery of queries beside their neighbours.

        Raises:
            UserError: A target or split is unknown, there are fewer images than k, a class has no query, a quantity is
                constant, or FAISS is asked for and missing.
        """
        check_targets(bench, self.options.targets, "similarity")
        check_split(bench, self.options.among, "similarity")
        for target in self.options.targets:
            yield from self._target(bench, target)

    def _target(self, bench: Bench, target: str) -> Iterator[Measurement]:
        most, itself = max(self.options.k), self.options.among == "test"
        why = f"[evaluate.similarity] k = {most}"
        searched = known(bench, self.options.among, target, most + itself, f"{why} (a query is not its own neighbour)")
        queries = known(bench, "test", target, 2, "a measurement")
        found = self._search(bench, queries, searched, max(most, min(self.options.shown, len(searched.index) - itself)))
        measure = _precision if bench.card.targets[target].classes else _spread
        for k in sorted(self.options.k):
            near = searched.truth[found.index[:, :k]]  # (M, k)
            yield from measure(bench, target, queries.truth, near, searched.truth)
        self._show(bench, target, queries, searched, found)

    def _search(self, bench: Bench, queries: Known, searched: Known, k: int) -> Neighbours:
        own = np.arange(len(queries.index)) if self.options.among == "test" else None
        if self.options.search == "faiss":
            return nearest_by_faiss(queries.features, searched.features, k, own=own)
        return nearest(queries.features, searched.features, k, device=bench.device, own=own)

    def _show(self, bench: Bench, target: str, queries: Known, searched: Known, found: Neighbours) -> None:
        rows = spread_out(queries.truth, self.options.queries, bench.rng("gallery", target))
        shown = found.index[rows, : self.options.shown]  # (q, n)
        images = [("test", queries.index[rows]), (self.options.among, searched.index[shown.ravel()])]
        flux = [_flux(bench, split, index) for split, index in images]
        picture = gallery(
            flux[0],
            flux[1].reshape(*shown.shape, *flux[1].shape[1:]),
            bench.card.targets[target],
            (queries.truth[rows], searched.truth[shown]),
            f"Nearest among {self.options.among} images, by {target.replace('_', ' ')}, {bench.encoder} encoder",
        )
        bench.picture(f"similarity/{target}", picture)


def _precision(bench: Bench, target: str, truth: Array, near: Array, _: Array) -> Iterator[Measurement]:
    names, k = bench.card.targets[target].classes, near.shape[1]
    absent = sorted(set(range(len(names))) - set(truth.tolist()))
    if absent:
        raise UserError(
            f"[evaluate.similarity]: no test image is known to be {names[absent[0]]!r} (target {target!r}), and "
            "precision is averaged over classes; add some, or leave the target out"
        )
    hits = (near == truth[:, None]).mean(1)  # (M,)
    own = [(f"precision_at_{k}_{name}", (number,)) for number, name in enumerate(names)]
    for metric, classes in [(f"precision_at_{k}", tuple(range(len(names)))), *own]:
        score, rng = partial(_mean_by_class, classes), bench.rng("similarity", target)
        yield measured(metric, score, truth, [hits], rng, bounds=(0.0, 1.0), target=target)


def _mean_by_class(classes: tuple[int, ...], truth: Array, values: Array) -> float:
    return float(np.mean([values[truth == number].mean() for number in classes]))


def _spread(bench: Bench, target: str, truth: Array, near: Array, everyone: Array) -> Iterator[Measurement]:
    k, rng = near.shape[1], bench.rng("similarity", target)
    strangers = rng.choice(everyone, size=(len(truth), _RANDOM))
    apart = np.abs(np.concatenate((near, strangers), 1) - truth[:, None])  # (M, k + _RANDOM)
    if not np.median(apart[:, k:]) > 0:
        raise UserError(
            f"[evaluate.similarity]: {target!r} is the same for half of all pairs of images or more, so that "
            "neighbours cannot be closer than others; leave it out, or vary it in the data set"
        )
    yield measured(f"spread_at_{k}", partial(_relative, k), truth, [apart], rng, bounds=(0.0, inf), target=target)


def _relative(k: int, _: Array, apart: Array) -> float:
    return float(np.median(apart[:, :k]) / np.median(apart[:, k:]))


def _flux(bench: Bench, split: str, index: Array) -> Array:
    """(n, C, H, W), as it lies in the shards."""
    return np.concatenate([batch.cpu().numpy() for batch in bench.flux(split, index, 64)])
