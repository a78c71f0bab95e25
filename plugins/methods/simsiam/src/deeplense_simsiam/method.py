"""SimSiam (Chen & He 2021, arXiv 2011.10566)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

import torch
from torch import nn

from deeplense_registry import (
    Backbone,
    Loss,
    Method,
    Outputs,
    PaperRecipe,
    ParameterGroup,
    Progress,
    Recipe,
    RunFacts,
    ViewPlan,
    Views,
    ViewSpec,
    World,
    split_by_decay,
)
from deeplense_registry.blocks import Layer, embedding_std, mlp

from .objective import symmetric
from .options import SimSiamOptions


def projector(inputs: int, dim: int) -> nn.Sequential:
    """Three linear layers with batch norm, the hidden ones as wide as the backbone; the last norm has no parameters.

    As published, the last linear layer has a bias that never learns: the norm after it would undo it.
    """
    hidden = Layer(inputs, bias=False, norm="affine", activation=nn.ReLU)
    head = mlp(inputs, hidden, hidden, Layer(dim, norm="plain"))
    for layer in head:
        if isinstance(layer, nn.Linear) and layer.bias is not None:
            layer.bias.requires_grad = False
    return head


def predictor(dim: int, hidden: int) -> nn.Sequential:
    """Two linear layers around a bottleneck; the output has a bias and no batch norm."""
    return mlp(dim, Layer(hidden, bias=False, norm="affine", activation=nn.ReLU), Layer(dim))


class SimSiam(Method):
    """Each view's embedding, through a predictor, points where the other view's embedding lies; that one stands still.

    As published, each view goes through the networks as a batch of its own, so batch norm never sees them together,
    and weight decay applies to every parameter. The published rate falls once an epoch, here every step.
    """

    recipe: ClassVar[Recipe] = Recipe(
        optimiser="sgd", learning_rate=0.05, reference_batch=256, weight_decay=1e-4, momentum=0.9, decay_all=True
    )
    lens_recipe: ClassVar[Recipe] = Recipe(
        optimiser="adamw", learning_rate=4e-3, reference_batch=256, warmup_epochs=1.0, weight_decay=0.05, clip=3.0
    )

    collapse_causes: ClassVar[tuple[str, ...]] = (
        "the learning rate is too high (lower train.learning_rate)",
        "the predictor lags behind (leave fix_pred_lr on, and pred_dim well below dim)",
        "views of an image are all alike (widen views.noise, views.zoom or views.shift)",
        "the batch is small for its batch norm (raise train.batch_size)",
    )

    def __init__(self, options: SimSiamOptions, make_backbone: Callable[..., Backbone], facts: RunFacts) -> None:
        super().__init__(options, make_backbone, facts)
        self.fix_pred_lr = options.fix_pred_lr
        self.backbone = make_backbone()
        self.projector = projector(self.backbone.width, options.dim)
        self.predictor = predictor(options.dim, options.pred_dim)

    def view_plan(self) -> ViewPlan:
        """Two views of the image's size, drawn alike."""
        paper = PaperRecipe(
            scale=(0.2, 1.0), jitter=(0.4, 0.4, 0.4, 0.1), jitter_p=0.8, grey_p=0.2, blur_p=0.5, blur_sigma=(0.1, 2.0)
        )
        return ViewPlan(views=(ViewSpec(paper=paper), ViewSpec(paper=paper)))

    def forward(self, views: Views, progress: Progress) -> Outputs:
        """``p`` (B, 2, dim), the predictions, and ``z`` (B, 2, dim), the embeddings behind the stop-gradient."""
        z = [self.projector(self.backbone(images).pooled) for images in views.images]
        p = [self.predictor(one) for one in z]
        return {"p": torch.stack(p, dim=1), "z": torch.stack(z, dim=1).detach()}

    def loss(self, outputs: Outputs, world: World, progress: Progress) -> Loss:
        """The symmetric negative cosine of this process's rows; no image meets another."""
        p, z = outputs["p"], outputs["z"]
        return Loss(
            total=symmetric(p, z),
            parts={
                "embedding_std": embedding_std(z.flatten(0, 1)),
                "prediction_std": embedding_std(p.flatten(0, 1)),
            },
        )

    def parameter_groups(self, recipe: Recipe) -> Iterable[ParameterGroup]:
        """The encoder, and the predictor, whose rate stays at its peak with ``fix_pred_lr`` (4.2, table 1c)."""
        named = {name: p for name, p in self.named_parameters() if p.requires_grad}
        last = {name: p for name, p in named.items() if name.startswith("predictor.")}
        first = {name: p for name, p in named.items() if name not in last}
        scheduled = not self.fix_pred_lr
        if recipe.decay_all:
            return (ParameterGroup(parameters=first), ParameterGroup(parameters=last, scheduled=scheduled))
        return (
            *split_by_decay(first, spare=self._spared()),
            *split_by_decay(last, scheduled=scheduled),
        )

    def encoder(self) -> Backbone:
        """The backbone; projector and predictor are dropped after training."""
        return self.backbone

    def chance_level(self) -> None:
        """There is none: a collapsed SimSiam has the loss of a perfect one, -1. ``embedding_std`` near 0 tells it."""
        return
