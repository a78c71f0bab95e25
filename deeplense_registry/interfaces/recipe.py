"""How a method's parameters are trained: the published recipe, and groups of parameters that differ from it."""

from __future__ import annotations

from typing import Literal

from attrs import Factory, field, frozen, validators
from torch import nn

_positive = validators.gt(0.0)
_not_negative = validators.ge(0.0)


@frozen(kw_only=True)
class Recipe:
    """Optimiser and schedules. The learning rate warms up linearly, then falls along a cosine, per step.

    Attributes:
        optimiser: ``"adamw"``, ``"sgd"`` or ``"lars"``.
        learning_rate: Peak, at ``reference_batch`` images a step; scaled linearly to the run's batch.
        reference_batch: See above; ``None``: not scaled.
        final_learning_rate: At the last step, scaled likewise.
        warmup_epochs: Epochs of linear warm-up, fractions allowed.
        weight_decay: At the first step; applied to parameters of two and more dimensions.
        final_weight_decay: At the last step, reached along a cosine; ``None``: constant.
        decay_all: Whether weight decay applies to biases and normalisation too, as in SimSiam.
        momentum: Of SGD and LARS.
        betas: Of AdamW.
        clip: Largest gradient norm, or ``None``.
        clip_each: Whether ``clip`` bounds the norm of each parameter tensor (DINO) instead of the global norm.
    """

    optimiser: Literal["adamw", "sgd", "lars"] = "adamw"
    learning_rate: float = field(default=1e-3, validator=_positive)
    reference_batch: int | None = 256
    final_learning_rate: float = field(default=0.0, validator=_not_negative)
    warmup_epochs: float = field(default=0.0, validator=_not_negative)
    weight_decay: float = field(default=0.05, validator=_not_negative)
    final_weight_decay: float | None = field(default=None, validator=validators.optional(_not_negative))
    decay_all: bool = False
    momentum: float = field(default=0.9, validator=_not_negative)
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float | None = field(default=None, validator=validators.optional(_positive))
    clip_each: bool = False


@frozen(kw_only=True, eq=False)
class ParameterGroup:
    """Parameters that are trained alike.

    Attributes:
        parameters: By name, in a fixed order.
        decay: Whether weight decay applies.
        adapt: Whether LARS adapts the rate to the layer (not for biases and normalisation).
        scheduled: False keeps the learning rate at its peak (SimSiam's predictor).
        scale: Factor on the learning rate.
    """

    parameters: dict[str, nn.Parameter] = Factory(dict)
    decay: bool = True
    adapt: bool = True
    scheduled: bool = True
    scale: float = 1.0


def split_by_decay(
    named: dict[str, nn.Parameter], *, spare: frozenset[str] = frozenset(), scheduled: bool = True, scale: float = 1.0
) -> tuple[ParameterGroup, ...]:
    """Two groups of the trainable parameters: with weight decay, and those of one dimension or in ``spare`` without."""
    trainable = {name: parameter for name, parameter in named.items() if parameter.requires_grad}
    decayed = {name: p for name, p in trainable.items() if p.ndim > 1 and name not in spare}
    rest = {name: p for name, p in trainable.items() if name not in decayed}
    groups = (
        ParameterGroup(parameters=decayed, scheduled=scheduled, scale=scale),
        ParameterGroup(parameters=rest, decay=False, adapt=False, scheduled=scheduled, scale=scale),
    )
    return tuple(group for group in groups if group.parameters)
