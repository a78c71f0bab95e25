"""The Evaluator interface: an encoder is judged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from attrs import asdict, field, frozen, validators
from numpy.typing import NDArray
from torch import Tensor

from ..components import DatasetCard
from ..spec import ViewsTable
from .backbone import Backbone


@frozen(kw_only=True)
class Measurement:
    """One number with its interval.

    Attributes:
        evaluator: The name of the evaluator's table in the spec; the engine fills it in.
        target: The target's name, or "" where the measurement has none.
        metric: The metric's usual name: "auroc", "accuracy", "r2", "mae".
        split: The split it was measured on.
        labels: The number of labelled training images used; 0 where none are.
        encoder: "trained", "untrained" or "supervised"; the engine fills it in.
        value: The mean over repeats.
        low, high: Ends of the 95 % interval; equal to ``value`` where there is none.
        repeats: The number of label draws (or seeds) behind it.
        draws: Their numbers, if they are label draws; none means the first ones.
        replicates: (1 + R, repeats), or ``None``: the score of each draw, and below it on R resamples of the test
            images. Measurements of one data set and target share their resamples, so that differences pair.
    """

    evaluator: str = ""
    target: str = ""
    metric: str
    split: str = "test"
    labels: int = field(default=0, validator=validators.ge(0))
    encoder: str = ""
    value: float
    low: float
    high: float
    repeats: int = field(default=1, validator=validators.ge(1))
    draws: tuple[int, ...] = field(default=(), converter=tuple)
    replicates: NDArray[np.float64] | None = field(default=None, eq=False, repr=False)

    @property
    def key(self) -> str:
        """What is measured, of whom: ``evaluator/target/metric/split/labels/encoder``."""
        parts = (self.evaluator, self.target, self.metric, self.split, self.labels, self.encoder)
        return "/".join(map(str, parts))

    def as_json(self) -> dict[str, Any]:
        """Everything but the replicates."""
        return asdict(self, filter=lambda attribute, _: attribute.name != "replicates")


@frozen(eq=False)
class Draw:
    """One draw of labelled training images.

    Attributes:
        number: Which draw of this budget, from 0.
        index: (n,) int64, positions in the training split, ascending.
    """

    number: int
    index: NDArray[np.int64]


class Bench(ABC):
    """What an evaluator may use. Splits are "train", "val" and "test"; rows are in the order of the shards.

    Attributes:
        encoder: Which encoder is judged: "trained" or "untrained".
        card: The data set's card.
        device: Where the encoder computes; batches are there.
        seed: Of the run.
    """

    seed: int = 0
    encoder: str
    card: DatasetCard
    device: torch.device

    @abstractmethod
    def embeddings(self, split: str) -> NDArray[np.float32]:
        """(N, D) pooled features in evaluation mode; computed once and kept."""

    @abstractmethod
    def assignments(self, split: str) -> NDArray[np.float32] | None:
        """(N, K) cluster probabilities of the method, or ``None``."""

    @abstractmethod
    def targets(self, split: str, target: str) -> NDArray[Any]:
        """(N,) labels: int64 with -1 where a class is absent, float64 with NaN where a quantity is absent."""

    @abstractmethod
    def draws(self, target: str) -> Sequence[Sequence[Draw]]:
        """For each label budget of the spec its draws; the same for every method, backbone and encoder."""

    @abstractmethod
    def fresh_encoder(self) -> Backbone:
        """A copy of the judged encoder, free to be trained."""

    def autocast(self) -> AbstractContextManager[Any]:
        """A context for forward passes in training, in the run's precision; outputs may be of half precision."""
        return nullcontext()

    def once(self, name: str, depends: Mapping[str, Any], make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """What ``make`` returns, computed once for all runs of a survey whose encoder, images and plugins are these.

        Args:
            name: What it is; a part of a file's name.
            depends: Whatever else determines it, as plain values (numbers, texts, lists, tables).
            make: Computes it, the same bits each time.
        """
        return make()

    @abstractmethod
    def stream(self, split: str, index: NDArray[np.int64], batch_size: int) -> Iterator[Tensor]:
        """The images at ``index`` (scaled as in training, unaugmented), (b, C, H, W), in that order."""

    @abstractmethod
    def flux(self, split: str, index: NDArray[np.int64], batch_size: int) -> Iterator[Tensor]:
        """The images at ``index`` as they lie in the shards, unscaled: (b, C, H, W) float32; of partners the first."""

    @abstractmethod
    def scale(self, flux: Tensor) -> Tensor:
        """Flux (b, C, H, W) to the encoder's input, of the same shape."""

    @abstractmethod
    def views(
        self,
        split: str,
        index: NDArray[np.int64],
        batch_size: int,
        *,
        seed: int,
        table: ViewsTable | None = None,
    ) -> Iterator[Tensor]:
        """One random view of each image, full size and scaled, (b, C, H, W): augmentation for training on labels.

        Args:
            split: Which images.
            index: (n,) their positions.
            batch_size: Images in a batch.
            seed: The same seed and index give the same bytes.
            table: What may change; by default ``[views]`` of the spec.
        """

    @abstractmethod
    def names(self, split: str) -> NDArray[np.str_]:
        """(N,) the source's own names of the images."""

    @abstractmethod
    def meta(self, split: str, name: str) -> NDArray[np.float64]:
        """(N,) of a number in the images' meta; NaN where an image does not have it."""

    @abstractmethod
    def rng(self, *key: int | str) -> np.random.Generator:
        """A generator that depends on the spec's label seed and ``key`` alone."""

    @abstractmethod
    def picture(self, name: str, image: NDArray[np.float32]) -> None:
        """Show a picture, (H, W) or (H, W, 3) in [0, 1], to the observers and keep it in the run's folder as PNG."""

    @abstractmethod
    def keep(self, name: str, content: bytes) -> None:
        """Keep a file called ``name`` in the run's folder, under the encoder's name."""

    @abstractmethod
    def projector(
        self,
        name: str,
        vectors: NDArray[np.float32],
        labels: Mapping[str, Sequence[str]],
        thumbnails: NDArray[np.float32] | None = None,
    ) -> None:
        """Hand points to the observers that show spaces (TensorBoard's projector).

        Args:
            name: What they are.
            vectors: (n, D).
            labels: Columns of n texts each.
            thumbnails: (n, h, w) or (n, h, w, 3) in [0, 1].
        """


class Evaluator(ABC):
    """Judges an encoder. It may train on labels of the training split, choose on "val" and report on "test"."""

    def __init__(self, options: Any) -> None:
        """Take the options, an instance of the component's options class."""
        self.options = options

    @abstractmethod
    def evaluate(self, bench: Bench) -> Iterable[Measurement]:
        """Yield measurements as they are made."""
