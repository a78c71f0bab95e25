"""What a method asks of the views, and the views it gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from attrs import field, frozen, validators
from torch import Tensor

ViewOp = Callable[[Tensor, torch.Generator], tuple[Tensor, Mapping[str, Tensor]]]
"""A method's own batched operation: ``op(images, generator) -> images, extras``.

``images`` is (B, C, h, w), a micro-batch of one view after the core's operations; the extras are (B, ...) each (a mask,
a label of the rotation applied). Every random number comes from ``generator``, which lies on the images' device.
"""

Range = tuple[float, float]


def _ordered(_: object, attribute: object, value: Range) -> None:
    if not 0 < value[0] <= value[1]:
        raise ValueError(f"{getattr(attribute, 'name', '')} must be 0 < low <= high, not {value}")


@frozen(kw_only=True)
class PaperRecipe:
    """A method's published augmentation of RGB photographs, used with ``policy = "paper"`` on three bands.

    Attributes:
        scale: Area of the crop as a fraction of the image's (aspect ratios 3/4 to 4/3).
        flip: Probability of a horizontal flip.
        jitter: Strengths of brightness, contrast, saturation and hue.
        jitter_p, grey_p, blur_p, solarise_p: Probabilities.
        blur_sigma: Range of the Gaussian's sigma, in pixels of a 224-pixel image.
    """

    scale: Range = field(default=(0.08, 1.0), validator=_ordered)
    flip: float = 0.5
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.1)
    jitter_p: float = 0.8
    grey_p: float = 0.2
    blur_p: float = 0.5
    blur_sigma: Range = field(default=(0.1, 2.0), validator=_ordered)
    solarise_p: float = 0.0


@frozen(kw_only=True)
class ViewSpec:
    """One view of each image.

    Attributes:
        size: Side of the view in pixels; ``None`` keeps the image's height and width.
        scale: Area of the crop as a fraction of the image's, before the spec's own zoom. Lens default: the whole
            image, since a crop changes the Einstein radius, which is a label.
        paper: The published recipe for this view.
        ops: The method's own operations, applied last, in order.
    """

    size: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    scale: Range = field(default=(1.0, 1.0), validator=_ordered)
    paper: PaperRecipe = PaperRecipe()
    ops: tuple[ViewOp, ...] = ()


@frozen(kw_only=True)
class ViewPlan:
    """The views a method wants of every image, in the order in which it gets them."""

    views: tuple[ViewSpec, ...] = field(validator=validators.min_len(1))


@frozen(eq=False)
class Views:
    """A micro-batch of B images, seen several times.

    Attributes:
        images: For each view of the plan (B, C, h, w), float32, on the run's device.
        index: (B,) int64, the position of each image in the training split: the key of a memory bank.
        extras: For each view, what the method's own operations returned, (B, ...) each.
    """

    images: tuple[Tensor, ...]
    index: Tensor
    extras: tuple[Mapping[str, Tensor], ...]

    def __len__(self) -> int:
        """The number of images B (not of views)."""
        return len(self.index)
