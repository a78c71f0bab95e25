"""The networks of DINO: a backbone with its head (arXiv 2104.14294, appendix C)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deeplense_registry import Backbone
from deeplense_registry.blocks import Layer, mlp, normalise
from deeplense_registry.blocks.multicrop import encode_views

from .options import DINOOptions


def projector(inputs: int, options: DINOOptions) -> nn.Sequential:
    """Linear layers with GELU between them, (n, inputs) to (n, bottleneck_dim); weights truncated normal, biases 0."""
    inner = Layer(options.hidden_dim, norm="affine" if options.use_bn_in_head else None, activation=nn.GELU)
    head = mlp(inputs, *[inner] * (options.nlayers - 1), Layer(options.bottleneck_dim))
    for layer in head:
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
    return head


class LastLayer(nn.Module):
    """Logits (..., outputs) of bottlenecks (..., inputs): rows of unit length, times a gain that starts at 1.

    The normalisation is written out: torch's hooks for it make layers that cannot be copied.
    """

    def __init__(self, inputs: int, outputs: int, *, learn_gain: bool) -> None:
        """Directions as those of a linear layer."""
        super().__init__()
        self.direction = nn.Parameter(nn.Linear(inputs, outputs, bias=False).weight.detach())
        self.gain = nn.Parameter(torch.ones(outputs, 1), requires_grad=learn_gain)

    def forward(self, bottlenecks: Tensor) -> Tensor:
        """As the class says."""
        return F.linear(bottlenecks, self.gain * F.normalize(self.direction, dim=1))

    def __call__(self, bottlenecks: Tensor) -> Tensor:
        """As :meth:`forward`, typed."""
        logits: Tensor = super().__call__(bottlenecks)
        return logits


class Network(nn.Module):
    """A student or a teacher.

    Attributes:
        backbone: The encoder.
        head: The projector, up to the bottleneck.
        last_layer: The bottleneck's logits; used by the loss, so that only bottlenecks need be kept.
    """

    def __init__(self, backbone: Backbone, options: DINOOptions) -> None:
        """Put a new head on ``backbone``."""
        super().__init__()
        self.backbone = backbone
        self.head = projector(backbone.width, options)
        self.last_layer = LastLayer(options.bottleneck_dim, options.out_dim, learn_gain=not options.norm_last_layer)

    def forward(self, images: Sequence[Tensor]) -> Tensor:
        """Bottlenecks of unit length (B, V, bottleneck_dim), float32, of V views (B, C, h, w); the head sees all."""
        pooled = encode_views(self.backbone, images)  # (B, V, D)
        return normalise(self.head(pooled.flatten(0, 1))).view(*pooled.shape[:2], -1)
