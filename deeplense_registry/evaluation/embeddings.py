"""Images become embeddings; batch-norm statistics of an encoder that was never trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..components import UserError
from ..interfaces import Backbone


def embed(encoder: Backbone, batches: Iterable[Tensor], count: int) -> NDArray[np.float32]:
    """(N, D) float32, the pooled features in evaluation mode; the encoder's modes are restored.

    Memory is that array and one batch.

    Args:
        encoder: The encoder.
        batches: (b, C, H, W) each, scaled, on the encoder's device.
        count: N, how many images the batches have together.

    Raises:
        ValueError: There are more or fewer images.
        UserError: Embeddings are not finite; the message says of how many images.
    """
    pooled = np.empty((count, encoder.width), dtype=np.float32)
    done = broken = 0
    with _evaluating(encoder), torch.no_grad():
        for batch in batches:
            rows = encoder(batch).pooled.float().cpu().numpy()
            pooled[done : done + len(rows)] = rows[: max(0, count - done)]
            done += len(rows)
            broken += int((~np.isfinite(rows)).any(1).sum())
    if done != count:
        raise ValueError(f"{count} images were announced, {done} came")
    if broken:
        raise UserError(
            f"the encoder's embeddings of {broken} of {count} images are not finite; the training diverged "
            '(lower train.learning_rate, or use train.precision = "fp32") or an image\'s flux overflows'
        )
    return pooled


def estimate_statistics(encoder: Backbone, batches: Iterable[Tensor]) -> None:
    """Set the running statistics of batch norm to their average over ``batches`` (b, C, H, W), all batches alike.

    This makes the untrained reference: the same initialisation, with the statistics of the training images. All else
    is in evaluation mode meanwhile (no dropout); modes and momenta are restored. Without batch norm nothing happens.

    Raises:
        ValueError: There is batch norm but no batch.
    """
    norms = [m for m in encoder.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if not norms:
        return
    with _evaluating(encoder), _accumulating(norms), torch.no_grad():
        batch = None
        for batch in batches:
            encoder(batch)
    if batch is None:
        raise ValueError("batch-norm statistics need at least one batch of images")


@contextmanager
def _evaluating(encoder: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards each module is in the mode it was in, frozen parts too."""
    modes = [(module, module.training) for module in encoder.modules()]
    encoder.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _accumulating(norms: list[_BatchNorm]) -> Iterator[None]:
    """Running statistics start anew and become the plain average over batches, which is torch's momentum ``None``."""
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.training = True
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
