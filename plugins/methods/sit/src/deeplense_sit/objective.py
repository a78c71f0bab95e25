"""The losses of SiT (arXiv 2104.03602): what compares images, and how tasks are weighed."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from deeplense_registry.blocks import info_nce


def teacher_contrast(student: Tensor, teacher: Tensor, first: int, temperature: float) -> tuple[Tensor, Tensor]:
    """Each view of the student finds the teacher's other view of its image among the teacher's other views of all.

    The form of MoCo v3 (arXiv 2104.02057, algorithm 1): the student is no candidate, nor is the same view.

    Args:
        student: (B, 2, D) of unit length, two views of each image of this process.
        teacher: (N, 2, D) of unit length, of every process, without gradient.
        first: Where this process's images start in ``teacher``.
        temperature: Positive.

    Returns:
        Twice the temperature times the sum over both directions of the mean cross-entropy, scalar, and whether each
        view's target is the nearest candidate, (2B,) bool.
    """
    own = torch.arange(len(student), device=student.device) + first
    there, found = info_nce(student[:, 0], teacher[:, 1], own, temperature)
    back, found_back = info_nce(student[:, 1], teacher[:, 0], own, temperature)
    return 2.0 * temperature * (there + back), torch.cat([found, found_back])


def teacher_contrast_chance(images: int, temperature: float) -> float:
    """:func:`teacher_contrast` of embeddings that are all alike, for a step of so many images."""
    return 4.0 * temperature * math.log(images)


def hidden_error(restored: Tensor, clean: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """What the mean absolute error of hidden pixels is made of: its quotient belongs to the whole step.

    Args:
        restored: (B, C, H, W).
        clean: (B, C, H, W).
        mask: (B, 1, H, W) bool, true where hidden.

    Returns:
        Of each image the summed error and the number of hidden values, (B,) each.
    """
    error = ((restored - clean).abs() * mask).sum((1, 2, 3))
    return error, mask.sum((1, 2, 3)).to(error.dtype) * clean.shape[1]


def weigh(losses: Tensor, uncertainty: Tensor) -> Tensor:
    """The sum of tasks by learned uncertainty: exp(-s a) L + s / 2, with a = 1, but 1/2 for the last, an L1 error.

    Args:
        losses: (T,), the last of them the reconstruction.
        uncertainty: (T,), s of each task, a parameter.
    """
    scale = torch.ones_like(uncertainty)
    scale[-1] = 0.5
    return ((-uncertainty * scale).exp() * losses + 0.5 * uncertainty).sum()
