"""What a head gives: its loss against the truth, and what it predicts."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from deeplense_registry import UserError

from .options import TrainingOptions

Array = NDArray[Any]


class Objective(Protocol):
    """What is learned of a target; made from the labelled images of a draw."""

    @property
    def outputs(self) -> int:
        """The number of outputs O of the head."""

    def loss(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """A scalar, of ``outputs`` (b, O) and ``truth`` (b,), int64 classes or float32 quantities."""

    def predict(self, outputs: Tensor) -> Tensor:
        """(b, K) class probabilities, or (b,) quantities in the target's unit."""


@frozen(eq=False)
class Classes:
    """Cross-entropy of classes, each class weighing ``weights`` (K,)."""

    weights: Tensor

    @classmethod
    def balanced(cls, truth: Array, classes: int, device: torch.device) -> Classes:
        """Each of the classes that ``truth`` (n,) holds counts alike in the mean over it, the others nothing."""
        counts = np.bincount(truth, minlength=classes)
        weights = np.divide(len(truth), (counts > 0).sum() * counts, out=np.zeros(classes), where=counts > 0)
        return cls(torch.tensor(weights, dtype=torch.float32, device=device))

    @property
    def outputs(self) -> int:
        """One logit a class."""
        return len(self.weights)

    def loss(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """The weighted mean cross-entropy."""
        return F.cross_entropy(outputs, truth, weight=self.weights)

    def predict(self, outputs: Tensor) -> Tensor:
        """(b, K)."""
        return outputs.softmax(1)


@frozen
class LeastSquares:
    """Mean squared error of a quantity in units of the labelled images' ``mean`` and ``deviation``."""

    mean: float
    deviation: float
    outputs: int = 1

    def loss(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """The mean."""
        return F.mse_loss(outputs[:, 0], (truth - self.mean) / self.deviation)

    def predict(self, outputs: Tensor) -> Tensor:
        """(b,)."""
        return self.mean + self.deviation * outputs[:, 0]


@frozen
class Gaussian(LeastSquares):
    """Negative log-likelihood of a Gaussian whose mean and logarithm of the variance the head gives.

    Nix and Weigend 1994; the variance is at least 1e-6 of the labelled images'.
    """

    outputs: int = 2

    def loss(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """The mean."""
        expected, log_variance = outputs.unbind(1)
        return F.gaussian_nll_loss(expected, (truth - self.mean) / self.deviation, log_variance.exp())


@frozen
class Bins:
    """Cross-entropy over ``outputs`` bins from ``low`` to ``high``; the expected value is the estimate.

    Pasquet et al. 2019, arXiv:1806.06607, section 3. A value beyond the range is in the bin next to it.
    """

    low: float
    high: float
    outputs: int

    def loss(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """The mean."""
        place = (truth - self.low) / (self.high - self.low) * self.outputs
        return F.cross_entropy(outputs, place.long().clamp(0, self.outputs - 1))

    def predict(self, outputs: Tensor) -> Tensor:
        """(b,)."""
        width = (self.high - self.low) / self.outputs
        centres = self.low + width * (torch.arange(self.outputs, device=outputs.device) + 0.5)
        return outputs.softmax(1) @ centres


def objective_for(options: TrainingOptions, truth: Array, classes: int, device: torch.device) -> Objective:
    """The objective of a draw.

    Args:
        options: Which, and how.
        truth: (n,) of the labelled images: int64 classes, or float64 quantities.
        classes: K; 0 for a quantity.
        device: Where it computes.

    Raises:
        UserError: The labelled images are of one class only, or have one value only.
    """
    if len(np.unique(truth)) < 2:
        raise UserError(
            f"the {len(truth)} labelled images of a draw have one and the same {'class' if classes else 'value'}, from "
            "which nothing can be learned; raise [labels] budgets, or set labels.stratified = true"
        )
    if classes:
        if options.weighting == "balanced":
            return Classes.balanced(truth, classes, device)
        return Classes(torch.ones(classes, device=device))
    if options.regression == "bins":
        low, high = options.range or (float(truth.min()), float(truth.max()))
        return Bins(low, high, options.bins)
    kind = Gaussian if options.regression == "nll" else LeastSquares
    return kind(float(truth.mean()), float(truth.std()))
