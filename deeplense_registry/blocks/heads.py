"""Projection, prediction and cluster heads: small perceptrons, described layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from attrs import field, frozen, validators
from torch import nn

Norm = Literal["affine", "scale", "plain"]


@frozen
class Layer:
    """A linear layer of a head, and what follows it.

    Attributes:
        width: Its outputs.
        bias: Whether the linear layer has one; superfluous before a norm.
        norm: Batch norm after it: ``"affine"`` (gain and bias), ``"scale"`` (gain alone), ``"plain"`` (neither), or
            none.
        activation: Makes the module that follows (``nn.ReLU``), or none.
    """

    width: int = field(validator=validators.ge(1))
    bias: bool = field(default=True, kw_only=True)
    norm: Norm | None = field(default=None, kw_only=True, validator=validators.in_(("affine", "scale", "plain", None)))
    activation: Callable[[], nn.Module] | None = field(default=None, kw_only=True)


def mlp(inputs: int, *layers: Layer) -> nn.Sequential:
    """A head (B, inputs) to (B, width of the last layer).

    SimSiam's predictor, for example, is ``mlp(2048, Layer(512, bias=False, norm="affine", activation=nn.ReLU),
    Layer(2048))``.
    """
    modules: list[nn.Module] = []
    for layer in layers:
        modules.append(nn.Linear(inputs, layer.width, bias=layer.bias))
        if layer.norm is not None:
            modules.append(_batch_norm(layer.width, layer.norm))
        if layer.activation is not None:
            modules.append(layer.activation())
        inputs = layer.width
    return nn.Sequential(*modules)


def _batch_norm(width: int, norm: Norm) -> nn.BatchNorm1d:
    module = nn.BatchNorm1d(width, affine=norm != "plain")
    if norm == "scale":
        module.register_parameter("bias", None)
    return module
