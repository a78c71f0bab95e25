"""A model of timm as a backbone."""

from __future__ import annotations

from torch import Tensor

from deeplense_registry import Backbone, Features, ImageShape, UserError

from .layers import convolve_stem, create, shrink_stem
from .options import TimmOptions


class Timm(Backbone):
    """Any model of timm by its name, its features taken through timm's ``forward_intermediates``.

    ``pooled`` is what timm's classifier would receive (``forward_head(pre_logits=True)``): the mean of the last grid in
    most convolutional networks, the class token in most vision transformers. ``pyramid`` holds the last features of
    each grid size, fine to coarse; ``grid`` is its last, normalised where the model ends in a normalisation of tokens.

    Args:
        options: The model's name, its stem and its weights.
        shape: Sets the bands, and the size for the models that must know it.
        drop_path: Instead of the options' rate.

    Raises:
        UserError: timm has no such model, or an option does not fit it.
    """

    def __init__(self, options: TimmOptions, shape: ImageShape, *, drop_path: float | None = None) -> None:
        super().__init__(options, shape, drop_path=drop_path)
        rate = options.drop_path if drop_path is None else drop_path
        self.name, self.channels, self.size = options.model, shape.channels, (shape.height, shape.width)
        self.model = create(options.model, shape, drop_path=rate, weights=options.weights)
        if options.small_stem and shrink_stem(self.model) and options.weights is not None:
            raise UserError(f"the weights of timm's {self.name} are for its own stem: set small_stem = false")
        if options.conv_stem:
            if options.weights is not None:
                raise UserError(f"the weights of timm's {self.name} are for its own stem: set conv_stem = false")
            convolve_stem(self.model, self.name)
        levels = {stage["reduction"]: number for number, stage in enumerate(self.model.feature_info)}
        self.levels = sorted(levels.values())  # the last of each size
        self.normalise = "hiera" not in self.name  # the one family that refuses to
        self.width: int = self.model.head_hidden_size

    def forward(self, images: Tensor, *, pose: Tensor | None = None) -> Features:
        """Features of ``images`` (B, C, H, W).

        Raises:
            UserError: Another number of bands than it was built for, or a size that this model refuses.
        """
        channels, size = images.shape[1], tuple(images.shape[2:])
        if channels != self.channels:
            raise UserError(f"timm's {self.name} was built for images of {self.channels} bands and got {channels}")
        try:
            return self._features(images)
        except (AssertionError, IndexError, RuntimeError, ValueError) as error:  # models refuse a size in many ways
            remedy = "choose another model or image size" if size == self.size else "use views of that size alone"
            raise UserError(
                f"timm's {self.name}, built for {self.size[0]}x{self.size[1]} pixels, fails on {tuple(images.shape)}: "
                f"{error}; {remedy}"
            ) from error

    def no_weight_decay(self) -> frozenset[str]:
        """What timm spares of this model: position embeddings, class tokens, bias tables."""
        spared = self.model.no_weight_decay() if hasattr(self.model, "no_weight_decay") else ()
        return frozenset(f"model.{name}" for name in spared)

    def _features(self, images: Tensor) -> Features:
        self._forget()
        last, levels = self.model.forward_intermediates(
            images, indices=self.levels, norm=self.normalise, output_fmt="NCHW"
        )
        pooled: Tensor = self.model.forward_head(last, pre_logits=True)
        return Features(pooled=pooled, grid=levels[-1], pyramid=tuple(levels))

    def _forget(self) -> None:
        """Empty the caches of attention biases that some models fill in evaluation: a teacher moves in place."""
        for module in self.model.modules():
            if hasattr(module, "attention_bias_cache"):
                module.attention_bias_cache.clear()
