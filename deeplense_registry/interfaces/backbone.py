"""The Backbone interface: images become features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from attrs import Factory, frozen
from torch import Tensor, nn

from ..components import ImageShape


@frozen(eq=False)
class Features:
    """What a backbone sees in a batch of B images.

    Attributes:
        pooled: (B, D), the representation that heads and evaluators receive.
        grid: (B, C, h, w), the normalised dense features, aligned with the input image (row 0 of the grid lies at the
            top of the image, whatever the backbone did inside).
        pyramid: Dense features from fine to coarse, (B, C_i, h_i, w_i) each; may hold ``grid`` alone.
        aux: Whatever else a method or a picture may want, (B, ...) each: pose, confidence.
    """

    pooled: Tensor
    grid: Tensor
    pyramid: tuple[Tensor, ...] = ()
    aux: Mapping[str, Tensor] = Factory(dict)


class Backbone(nn.Module, ABC):
    """An encoder. Built by name from a spec, trained by any method, judged by any evaluator.

    A backbone accepts any image size from its ``min_size`` up, square or not, since methods mix crops of several sizes;
    it reads the size off the tensor. In evaluation mode a row of its output depends on its own image alone, and no
    cache may survive a change of the weights (teachers are moved in place).

    Attributes:
        width: D of ``Features.pooled``.
        centred_crops: True if the views must keep the image's centre, since poses refer to it.
    """

    width: int
    centred_crops: ClassVar[bool] = False

    def __init__(self, options: Any, shape: ImageShape, *, drop_path: float | None = None) -> None:
        """Build it for images of ``shape``.

        Args:
            options: An instance of the component's options class.
            shape: The largest image it will usually see; ``channels`` is binding, height and width are not.
            drop_path: The rate of stochastic depth in [0, 1); ``None`` takes the options' own. A method that wants
                another rate for its teacher passes it here.
        """
        super().__init__()

    @abstractmethod
    def forward(self, images: Tensor, *, pose: Tensor | None = None) -> Features:
        """Features of ``images`` (B, C, H, W), float; ``pose`` (B, ...) is for backbones that estimate one."""

    def no_weight_decay(self) -> frozenset[str]:
        """Names of parameters, beside those of one dimension, that weight decay must leave alone."""
        return frozenset()

    def __call__(self, images: Tensor, *, pose: Tensor | None = None) -> Features:
        """As :meth:`forward`, typed."""
        features: Features = super().__call__(images, pose=pose)
        return features
