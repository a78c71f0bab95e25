"""The loss of DINO (arXiv 2104.14294, equations 1 to 4 and algorithm 1), its centre and its schedules."""

from __future__ import annotations

from attrs import frozen
from torch import Tensor
from torch.nn import functional as F


@frozen(eq=False)
class Distillation:
    """What a step's cross-entropy is, and of what.

    Attributes:
        loss: Scalar, the mean over images and pairs of different views.
        teacher: (B, G, K), the teacher's probabilities for its views.
    """

    loss: Tensor
    teacher: Tensor


def distil(
    student: Tensor, teacher: Tensor, centre: Tensor, *, student_temp: float, teacher_temp: float
) -> Distillation:
    """Cross-entropy of the student's outputs with the teacher's for every other view of the image (equation 3).

    Args:
        student: (B, V, K) logits, the teacher's views first.
        teacher: (B, G, K) logits, 2 <= G <= V; no gradient reaches them.
        centre: (K,), subtracted from the teacher's logits.
        student_temp: Positive.
        teacher_temp: Positive; the lower, the sharper the targets.
    """
    targets = ((teacher.detach() - centre) / teacher_temp).softmax(-1)  # (B, G, K)
    answers = F.log_softmax(student / student_temp, dim=-1)  # (B, V, K)
    entropies = -(targets @ answers.mT).mean(0)  # (G, V)
    same_view = entropies.diagonal()
    pairs = entropies.numel() - same_view.numel()
    return Distillation((entropies.sum() - same_view.sum()) / pairs, targets)


def moved_centre(centre: Tensor, mean: Tensor, momentum: float) -> Tensor:
    """``momentum * centre + (1 - momentum) * mean`` (equation 4), ``mean`` (K,) being the teacher's raw logits'."""
    return momentum * centre + (1.0 - momentum) * mean


def teacher_temperature(epoch: int, warmup: float, final: float, epochs: int) -> float:
    """Of the teacher in an epoch (from 0): ``epochs`` evenly spaced values from ``warmup`` to ``final``, then that."""
    if epoch >= epochs:
        return final
    return warmup + (final - warmup) * epoch / max(epochs - 1, 1)


def entropy(probabilities: Tensor) -> Tensor:
    """The mean entropy of distributions (..., K), scalar, in nats; log K where they are uniform, 0 where certain."""
    return -(probabilities * probabilities.clamp_min(1e-12).log()).sum(-1).mean()
