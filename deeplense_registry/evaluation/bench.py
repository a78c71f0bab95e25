"""The bench on which one encoder is judged: its embeddings are computed once a split, whoever asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import torch
from attrs import define, field
from numpy.typing import NDArray
from torch import Tensor

from ..components import DatasetCard, UserError, derive_seed
from ..interfaces import Backbone, Bench, Draw, Views
from ..spec import LabelsTable, ViewsTable, digest_of
from ..views import NUISANCES
from .cache import ArrayCache
from .draws import label_draws
from .embeddings import embed
from .surroundings import Images, Shown

_BATCH = 256  # fixed: the last bits of a forward pass depend on the batch size


@define(eq=False, kw_only=True)
class EncoderBench(Bench):
    """One encoder, the images, and the spec's labels. Embeddings and assignments are kept in memory.

    Attributes:
        backbone: The encoder that is judged, on ``device``; it is never changed.
        encoder: "trained" or "untrained".
        card: The data set's card.
        source: The images.
        scaling: Flux to the encoder's input, (b, C, H, W) to the same, as in training; runs on ``device``.
        labels: The spec's ``[labels]``.
        device: Where the encoder computes.
        seed: Of the run.
        shown: Takes pictures, files and points.
        pipeline: Makes single full-size views, as a table of ``[views]`` allows (``None``: as the spec does).
        kept: Where embeddings are kept beyond this process, if anywhere.
        shared: Where the runs of a survey keep what they have in common, if anywhere.
        drawn: The label draws of a target; by default they are drawn from all training images.
        arithmetic: The context of the run's precision for training on labels; embeddings are float32 in any case.
        assign: The method's ``assign``: pooled features (b, D) to cluster probabilities (b, K) or ``None``.
    """

    backbone: Backbone
    encoder: str
    card: DatasetCard
    source: Images
    scaling: Callable[[Tensor], Tensor]
    labels: LabelsTable
    device: torch.device
    shown: Shown
    seed: int = 0
    pipeline: Callable[[ViewsTable | None], Callable[..., Views]] | None = None
    kept: ArrayCache | None = None
    shared: ArrayCache | None = None
    drawn: Callable[[str], Sequence[Sequence[Draw]]] | None = None
    assign: Callable[[Tensor], Tensor | None] | None = None
    arithmetic: Callable[[], AbstractContextManager[Any]] = nullcontext
    _embeddings: dict[str, NDArray[np.float32]] = field(init=False, factory=dict)
    _assignments: dict[str, NDArray[np.float32] | None] = field(init=False, factory=dict)

    def embeddings(self, split: str) -> NDArray[np.float32]:
        """(N, D) pooled features in evaluation mode, read-only; computed once and kept.

        Raises:
            UserError: The split does not exist or is empty, or embeddings are not finite.
        """
        if split not in self._embeddings:
            pooled = self._embed(split) if self.kept is None else self.kept(split, partial(self._embed, split))
            pooled.flags.writeable = False  # every evaluator gets the same array
            self._embeddings[split] = pooled
        return self._embeddings[split]

    def assignments(self, split: str) -> NDArray[np.float32] | None:
        """(N, K) cluster probabilities of the method, or ``None`` where it does not cluster."""
        if split not in self._assignments:
            self._assignments[split] = self._assigned(split)
        return self._assignments[split]

    def targets(self, split: str, target: str) -> NDArray[Any]:
        """(N,) labels of a split.

        Raises:
            UserError: The data set has no such target, or no such split.
        """
        if target not in self.card.targets:
            known = ", ".join(repr(name) for name in self.card.targets) or "none"
            raise UserError(f"data set {self.card.name!r} has no target {target!r}; its targets: {known}")
        self._count(split)
        return self.source.targets(split, target)

    def draws(self, target: str) -> Sequence[Sequence[Draw]]:
        """For each label budget of the spec its draws (:func:`label_draws`)."""
        targets = self.targets("train", target)
        if self.drawn is not None:
            return self.drawn(target)
        return label_draws(targets, self.labels, target, classes=len(self.card.targets[target].classes) or None)

    def fresh_encoder(self) -> Backbone:
        """A copy of the judged encoder in training mode, all of its parameters trainable."""
        copy = deepcopy(self.backbone).requires_grad_(True)  # a teacher's are not
        copy.train()
        return copy

    def autocast(self) -> AbstractContextManager[Any]:
        """The run's precision."""
        return self.arithmetic()

    def once(self, name: str, depends: Mapping[str, Any], make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """What ``make`` returns, from another run of the survey where one has computed it."""
        return make() if self.shared is None else self.shared(f"{name}-{digest_of(depends)[:16]}", make)

    def stream(self, split: str, index: NDArray[np.int64], batch_size: int) -> Iterator[Tensor]:
        """The images at ``index``, scaled, (b, C, H, W) float32 on the device, in that order; of partners the first."""
        for images in self.flux(split, index, batch_size):
            yield self.scaling(images)

    def flux(self, split: str, index: NDArray[np.int64], batch_size: int) -> Iterator[Tensor]:
        """The images at ``index``, unscaled, (b, C, H, W) float32 on the device; of partners the first."""
        for start in range(0, len(index), batch_size):
            images = self.source.images(split, index[start : start + batch_size])
            if self.card.partners > 1:
                images = images[:, 0]  # (b, P, C, H, W) to (b, C, H, W)
            yield torch.tensor(images, dtype=torch.float32, device=self.device)

    def scale(self, flux: Tensor) -> Tensor:
        """Flux to the encoder's input."""
        return self.scaling(flux)

    def views(
        self,
        split: str,
        index: NDArray[np.int64],
        batch_size: int,
        *,
        seed: int,
        table: ViewsTable | None = None,
    ) -> Iterator[Tensor]:
        """One random view of each image, scaled, (b, C, H, W).

        Raises:
            UserError: This bench was made without views, or the table does not suit the images.
        """
        if self.pipeline is None:
            raise UserError("this bench has no views: give EncoderBench a pipeline")
        pipeline = self.pipeline(table)
        generator = torch.Generator(self.device).manual_seed(seed)
        own = {name: self.meta(split, name) for name in NUISANCES}
        for number, images in enumerate(self.flux(split, index, batch_size)):
            rows = index[number * batch_size :][: len(images)]
            meta = {
                name: torch.tensor(column[rows], dtype=torch.float32, device=self.device)
                for name, column in own.items()
            }
            yield pipeline(images, torch.tensor(rows, device=self.device), meta, generator).images[0]

    def names(self, split: str) -> NDArray[np.str_]:
        """(N,) the source's own names."""
        return self.source.names(split)

    def meta(self, split: str, name: str) -> NDArray[np.float64]:
        """(N,) of a number in meta, NaN where absent."""
        return self.source.meta(split, name)

    def rng(self, *key: int | str) -> np.random.Generator:
        """A generator that depends on ``labels.seed`` and ``key`` alone."""
        return np.random.default_rng(derive_seed(self.labels.seed, *key))

    def picture(self, name: str, image: NDArray[np.float32]) -> None:
        """Hand a picture on."""
        self.shown.picture(name, image)

    def keep(self, name: str, content: bytes) -> None:
        """Hand a file on."""
        self.shown.keep(name, content)

    def projector(
        self,
        name: str,
        vectors: NDArray[np.float32],
        labels: Mapping[str, Sequence[str]],
        thumbnails: NDArray[np.float32] | None = None,
    ) -> None:
        """Hand points on."""
        self.shown.projector(name, vectors, labels, thumbnails)

    def _embed(self, split: str) -> NDArray[np.float32]:
        count = self._count(split)
        return embed(self.backbone, self.stream(split, np.arange(count), _BATCH), count)

    def _count(self, split: str) -> int:
        known = ", ".join(repr(name) for name in self.card.splits)
        if split not in self.card.splits:
            raise UserError(f"data set {self.card.name!r} has no split {split!r}; its splits: {known}")
        count = self.source.count(split)
        if not count:
            raise UserError(f"the split {split!r} of data set {self.card.name!r} has no images; give it some")
        return count

    def _assigned(self, split: str) -> NDArray[np.float32] | None:
        if self.assign is None:
            return None
        pooled = torch.tensor(self.embeddings(split))
        with torch.no_grad():
            rows = [self.assign(batch.to(self.device)) for batch in torch.split(pooled, _BATCH)]
        kept = [row.float().cpu().numpy() for row in rows if row is not None]
        return np.concatenate(kept) if kept else None
