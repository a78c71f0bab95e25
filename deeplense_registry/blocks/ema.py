"""Teachers: networks that follow another by an exponential moving average."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def make_teacher(teacher: Network, student: nn.Module) -> Network:
    """Give ``teacher`` the student's parameters and buffers, and take it out of training.

    The teacher is a network built anew (``make_backbone(drop_path=0.0)``), not a deep copy: weight-normalised layers
    cannot be copied, and a teacher may have another rate of stochastic depth.

    Raises:
        ValueError: The teacher is the student, or shares parameters with it: it would follow itself.
    """
    shared = {id(p) for p in teacher.parameters()} & {id(p) for p in student.parameters()}
    if shared:
        raise ValueError(f"the teacher shares {len(shared)} parameters with the student; build it anew")
    teacher.load_state_dict(student.state_dict())
    return teacher.requires_grad_(requires_grad=False)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float, *, buffers: bool = False) -> None:
    """``teacher <- momentum * teacher + (1 - momentum) * student``, in place, for every parameter.

    Args:
        teacher: From :func:`make_teacher`.
        student: Of the same architecture.
        momentum: In [0, 1].
        buffers: Whether batch norm's running mean and variance are averaged too (the published methods leave them to
            the teacher's own forward passes); counters are copied.
    """
    torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1.0 - momentum)
    if not buffers:
        return
    for own, other in zip(teacher.buffers(), student.buffers(), strict=True):
        if own.is_floating_point():
            own.lerp_(other, 1.0 - momentum)
        else:
            own.copy_(other)
