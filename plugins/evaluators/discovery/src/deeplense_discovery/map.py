"""The space laid flat: one picture for each target, and TensorBoard's projector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import TSNE, trustworthiness
from torch.nn import functional as F

from deeplense_registry import Bench, Evaluator, Measurement, UserError

from .drawing import valued, visible
from .options import MapOptions
from .protocol import Array, Index, check_split, check_targets, optional, some
from .scatter import scatter

FEWEST = 10
"""The least number of images of a map."""
_NEIGHBOURS = 5  # of trustworthiness, scikit-learn's default


class Map(Evaluator):
    """t-SNE (van der Maaten and Hinton 2008) or UMAP (arXiv:1802.03426) of the embeddings, by cosine.

    ``trustworthiness`` (Venna and Kaski 2001, doi:10.1007/3-540-44668-0_68) says how far the picture can be believed:
    1 where all neighbours in the plane are neighbours in the space, .5 about where they are random.
    """

    options: MapOptions

    def evaluate(self, bench: Bench) -> Iterator[Measurement]:
        """Show the map, and measure how far it can be believed.

        Raises:
            UserError: A target or the split is unknown, the split has fewer than 10 images, or UMAP is asked for and
                missing.
        """
        targets = self.options.targets or tuple(bench.card.targets)
        check_targets(bench, targets, "map")
        check_split(bench, self.options.split, "map")
        everyone = bench.embeddings(self.options.split)
        if len(everyone) < FEWEST:
            raise UserError(
                f"[evaluate.map]: the split {self.options.split!r} has {len(everyone)} images, and a map needs {FEWEST}"
            )
        index = some(len(everyone), self.options.most, bench.rng("map", self.options.split))
        points = self._flat(everyone[index], int(bench.rng("map", "layout").integers(2**31)))
        for target in targets:
            truth = bench.targets(self.options.split, target)[index]
            picture = scatter(points, truth, target, bench.card.targets[target], self._title(bench, len(index)))
            bench.picture(f"map/{target}", picture)
        self._project(bench, index, everyone[index], targets)
        value = float(trustworthiness(everyone[index], points, n_neighbors=min(_NEIGHBOURS, len(index) // 2 - 1)))
        yield Measurement(metric="trustworthiness", split=self.options.split, value=value, low=value, high=value)

    def _flat(self, rows: Array, seed: int) -> NDArray[np.float32]:
        """(n, 2)."""
        if self.options.method == "tsne":
            perplexity = min(self.options.perplexity, len(rows) / 3)
            layout = TSNE(perplexity=perplexity, metric="cosine", init="pca", random_state=seed)
        else:
            umap = optional("umap", "umap-learn", '[evaluate.map] method = "umap"')
            neighbours = min(self.options.neighbours, len(rows) - 1)
            layout = umap.UMAP(
                n_neighbors=neighbours, min_dist=self.options.min_dist, metric="cosine", random_state=seed, n_jobs=1
            )
        points: NDArray[np.float32] = layout.fit_transform(rows)
        return points

    def _title(self, bench: Bench, count: int) -> str:
        name = {"tsne": "t-SNE", "umap": "UMAP"}[self.options.method]
        return f"{name} of {count} {self.options.split} images, {bench.encoder} encoder"

    def _project(self, bench: Bench, index: Index, rows: Array, targets: Sequence[str]) -> None:
        labels = {"name": bench.names(self.options.split)[index].tolist()}
        for target in targets:
            truth = bench.targets(self.options.split, target)[index]
            labels[target] = [valued(bench.card.targets[target], value) for value in truth]
        bench.projector("map", rows, labels, self._thumbnails(bench, index))

    def _thumbnails(self, bench: Bench, index: Index) -> NDArray[np.float32] | None:
        """(n, t, t) or (n, t, t, 3): squares, as the projector wants them."""
        side = self.options.thumbnail
        if not side:
            return None
        batches = bench.flux(self.options.split, index, 64)
        small = [F.interpolate(batch.cpu(), (side, side), mode="area").numpy() for batch in batches]
        return visible(np.concatenate(small))
