"""The head starts as a linear probe of the frozen embeddings."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .objective import Objective

STRENGTHS = (10.0, 1.0, 1e-1, 1e-2, 1e-3, 1e-4)
"""Regularisation to choose from, from stiff to free."""
UNCHOSEN = (1e-1,)
"""Without a validation split."""
_ITERATIONS = 500

Known = tuple[Tensor, Tensor]
"""Embeddings (n, D) and the truth of their images (n,)."""


def start_as_probe(head: nn.Linear, objective: Objective, features: Tensor, labelled: Known, val: Known | None) -> None:
    """Set the head to the best linear probe of the embeddings as they are.

    Fine-tuning then does not distort the encoder while its head learns (Kumar et al. 2022, arXiv:2202.10054).
    Minimises the objective's loss plus ``strength / 2`` times the squared weights (not the biases) on standardised
    embeddings, by L-BFGS; of :data:`STRENGTHS` the one with the least loss on ``val`` stays.

    Args:
        head: D inputs; changed in place.
        objective: Its loss.
        features: (N, D) embeddings of all training images, whose mean and deviation standardise.
        labelled: The labelled images of a draw.
        val: Those of the validation split, or ``None``: the strength is :data:`UNCHOSEN`.
    """
    deviation, mean = torch.std_mean(features, 0, correction=0)
    varies = deviation > torch.finfo(features.dtype).eps * mean.abs()
    inverse = torch.where(varies, 1 / deviation, 0.0)  # (D,); a constant feature counts for nothing
    probe = nn.Linear(head.in_features, head.out_features).to(features.device)
    nn.init.zeros_(probe.weight)
    nn.init.zeros_(probe.bias)
    best, lowest = probe.state_dict(), torch.inf
    for strength in STRENGTHS if val else UNCHOSEN:
        _fit(probe, objective, (labelled[0] - mean) * inverse, labelled[1], strength)
        loss = _loss(probe, objective, (val[0] - mean) * inverse, val[1]) if val else 0.0
        if loss < lowest:
            lowest, best = loss, {name: value.clone() for name, value in probe.state_dict().items()}
    with torch.no_grad():
        head.weight.copy_(best["weight"] * inverse)
        head.bias.copy_(best["bias"] - head.weight @ mean)


def _fit(probe: nn.Linear, objective: Objective, rows: Tensor, truth: Tensor, strength: float) -> None:
    """In place, from where it is."""
    optimiser = torch.optim.LBFGS(probe.parameters(), max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = objective.loss(probe(rows), truth) + strength / 2 * probe.weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]


@torch.no_grad()
def _loss(probe: nn.Linear, objective: Objective, rows: Tensor, truth: Tensor) -> float:
    return float(objective.loss(probe(rows), truth))
