"""A network learns, and the state that was best on the validation split is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from math import ceil, inf, isfinite
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import AdamW

from deeplense_registry import Backbone, ParameterGroup, UserError, split_by_decay
from deeplense_registry.blocks import warmup_cosine

from .layers import encoder_groups
from .objective import Objective
from .options import TrainingOptions

Index = NDArray[np.int64]


class Network(nn.Module):
    """An encoder, in the precision of its run, with a linear head, which starts at 0: the first step moves it alone."""

    def __init__(
        self, encoder: Backbone, outputs: int, autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    ) -> None:
        """``outputs``: O; ``autocast``: the context of the encoder's forward pass."""
        super().__init__()
        self.encoder, self.autocast = encoder, autocast
        self.head = nn.Linear(encoder.width, outputs)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        """(b, C, H, W) to (b, O)."""
        with self.autocast():
            pooled = self.encoder(images).pooled
        outputs: Tensor = self.head(pooled.float())
        return outputs

    def groups(self, layer_decay: float) -> list[ParameterGroup]:
        """Parameters by learning rate and weight decay."""
        return [*encoder_groups(self.encoder, layer_decay), *split_by_decay(dict(self.head.named_parameters()))]


def batches_of(truth: NDArray[Any], options: TrainingOptions, steps: int, rng: np.random.Generator) -> Index:
    """(S, b) the labelled images of each step, as positions in ``truth`` (n,).

    An epoch is a permutation cut into full batches of b = min(n, batch_size); what is left over changes from epoch to
    epoch. With balanced sampling it is drawn with repetition, each class as likely as another.
    """
    count = len(truth)
    size = min(count, options.batch_size)
    each = count // size
    steps = steps if options.epochs is None else options.epochs * each
    _, inverse, counts = np.unique(truth, return_inverse=True, return_counts=True)
    odds = 1 / (counts[inverse] * len(counts)) if options.sampling == "balanced" else None  # (n,), sum 1
    epochs = [
        rng.permutation(count)[: each * size] if odds is None else rng.choice(count, each * size, p=odds)
        for _ in range(ceil(steps / each))
    ]
    return np.concatenate(epochs).reshape(-1, size)[:steps]


def train(
    network: Network,
    objective: Objective,
    batches: Iterable[tuple[Tensor, Tensor]],
    options: TrainingOptions,
    *,
    steps: int,
    learning_rate: float,
    layer_decay: float,
    patience: int | None,
    validate: Callable[[], float] | None,
) -> None:
    """Train in place by AdamW, with a warm-up and a cosine to 0; the state that was best on validation stays.

    Args:
        network: In training mode.
        objective: Its loss.
        batches: For each step the images (b, C, H, W) and their truth (b,).
        options: What both trainings have in common.
        steps: The number of batches.
        learning_rate: The head's.
        layer_decay: From each layer to the one before.
        patience: Stop after so many checks without a better state, or never.
        validate: How bad the network is on the validation split; ``None``: the last state stays.

    Raises:
        UserError: The loss is not finite.
    """
    groups = network.groups(layer_decay)
    optimiser = AdamW(
        [
            {"params": [*group.parameters.values()], "weight_decay": options.weight_decay if group.decay else 0.0}
            for group in groups
        ]
    )
    warmup = round(options.warmup * steps)
    best = _Best(network, patience)
    due = {round(check * steps / options.checks) for check in range(1, options.checks + 1)} if validate else set()
    for step, (images, truth) in enumerate(batches):
        rate = warmup_cosine(learning_rate, 0.0, step, steps, warmup)
        for group, settings in zip(groups, optimiser.param_groups, strict=True):
            settings["lr"] = rate * group.scale
        loss = objective.loss(network(images), truth)
        check_finite(float(loss.detach()), f"the loss at step {step} of {steps}")
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if options.clip is not None:
            nn.utils.clip_grad_norm_(network.parameters(), options.clip)
        optimiser.step()
        if validate and step + 1 in due and not best.look(validate()):
            break
    best.restore()


class _Best:
    """The best state so far."""

    def __init__(self, network: Network, patience: int | None) -> None:
        self.network, self.patience = network, patience
        self.least, self.missed = inf, 0
        self.state: dict[str, Tensor] | None = None

    def look(self, bad: float) -> bool:
        """Keep the state if it is the best; whether to go on."""
        check_finite(bad, "the loss on the validation split")
        if bad < self.least:
            self.least, self.missed = bad, 0
            self.state = {name: value.clone() for name, value in self.network.state_dict().items()}
        else:
            self.missed += 1
        return self.patience is None or self.missed < self.patience

    def restore(self) -> None:
        """Go back to it; without a check nothing happens."""
        if self.state is not None:
            self.network.load_state_dict(self.state)


def outputs_of(network: Network, images: Iterable[Tensor]) -> Tensor:
    """(N, O) in evaluation mode; the network is in training mode afterwards."""
    network.eval()
    with torch.no_grad():
        outputs = torch.cat([network(batch) for batch in images])
    network.train()
    return outputs


def check_finite(value: float, what: str) -> None:
    """Raise UserError if it is not."""
    if not isfinite(value):
        raise UserError(
            f"{what} is not finite: the encoder diverged before (train.learning_rate), or fine-tuning does "
            "(learning_rate of its table); lower the one or the other, or look for images whose flux overflows"
        )
