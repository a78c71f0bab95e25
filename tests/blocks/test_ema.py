"""Teachers follow students, and nobody else."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from deeplense_registry.blocks.ema import follow, make_teacher


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_a_teacher_starts_as_its_student_and_has_no_gradient() -> None:
    student = network(0)
    teacher = make_teacher(network(1), student)
    assert all(torch.equal(a, b) for a, b in zip(teacher.parameters(), student.parameters(), strict=True))
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert all(parameter.requires_grad for parameter in student.parameters())


def test_a_teacher_that_is_its_student_is_refused() -> None:
    student = network(0)
    with pytest.raises(ValueError, match="the teacher shares 4 parameters with the student; build it anew"):
        make_teacher(student, student)


@pytest.mark.parametrize("buffers", [False, True])
def test_following_is_the_moving_average(buffers: bool) -> None:
    student, teacher = network(0), make_teacher(network(1), network(2))
    student(torch.randn(8, 3))  # moves the running statistics
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    follow(teacher, student, 0.9, buffers=buffers)
    for name, value in teacher.state_dict().items():
        moved = 0.9 * before[name] + 0.1 * student.state_dict()[name]
        if "num_batches" in name:
            assert value == (1 if buffers else 0)
        elif "running" in name and not buffers:
            assert torch.equal(value, before[name])
        else:
            assert torch.allclose(value, moved, atol=1e-7)


def test_momentum_one_stands_still_and_zero_copies() -> None:
    student, teacher = network(0), make_teacher(network(1), network(2))
    before = teacher[0].weight.clone()
    follow(teacher, student, 1.0)
    assert torch.equal(teacher[0].weight, before)
    follow(teacher, student, 0.0)
    assert torch.equal(teacher[0].weight, student[0].weight)
