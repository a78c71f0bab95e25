"""SimCLR (Chen et al. 2020, arXiv 2002.05709; the projector of v2, arXiv 2006.10029)."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import nn

from deeplense_registry import (
    Backbone,
    Loss,
    Method,
    Outputs,
    PaperRecipe,
    Progress,
    Recipe,
    RunFacts,
    ViewPlan,
    Views,
    ViewSpec,
    World,
)
from deeplense_registry.blocks import Layer, embedding_std, mlp, normalise, nt_xent, nt_xent_chance

from .options import SimCLROptions


def projector(inputs: int, hidden: int, output: int, layers: int) -> nn.Sequential:
    """Linear layers without bias, each with batch norm, ReLU between them; the last batch norm has a gain alone."""
    inner = Layer(hidden, bias=False, norm="affine", activation=nn.ReLU)
    return mlp(inputs, *[inner] * (layers - 1), Layer(output, bias=False, norm="scale"))


class SimCLR(Method):
    """Two views of an image attract, and repel all other images of the step.

    As published, both views go through the networks as one batch, so batch norm sees them together.
    """

    recipe: ClassVar[Recipe] = Recipe(
        optimiser="lars",
        learning_rate=0.3,
        reference_batch=256,
        warmup_epochs=SimCLROptions.paper_warmup,
        weight_decay=1e-4,
        momentum=0.9,
    )
    lens_recipe: ClassVar[Recipe] = Recipe(
        optimiser="adamw", learning_rate=2e-3, reference_batch=256, warmup_epochs=1.0, weight_decay=0.05, clip=3.0
    )

    collapse_causes: ClassVar[tuple[str, ...]] = (
        "the learning rate is too high (lower train.learning_rate, lengthen train.warmup_epochs)",
        "the batch has too few negatives (raise train.batch_size)",
        "similarities are too soft to tell images apart (lower temperature)",
        "two views of an image have nothing in common (narrow views.noise, views.mask or views.zoom)",
    )

    def __init__(self, options: SimCLROptions, make_backbone: Callable[..., Backbone], facts: RunFacts) -> None:
        super().__init__(options, make_backbone, facts)
        self.temperature = options.temperature
        self.batch_size = facts.batch_size
        self.backbone = make_backbone()
        width = self.backbone.width
        self.projector = projector(width, options.hidden or width, options.output, options.layers)

    def view_plan(self) -> ViewPlan:
        """Two views of the image's size, drawn alike."""
        paper = PaperRecipe(
            scale=(0.08, 1.0), flip=0.5, jitter=(0.8, 0.8, 0.8, 0.2), jitter_p=0.8, grey_p=0.2, blur_p=0.5
        )
        return ViewPlan(views=(ViewSpec(paper=paper), ViewSpec(paper=paper)))

    def forward(self, views: Views, progress: Progress) -> Outputs:
        """``z`` (B, 2, D): the projections of both views, of unit length, float32."""
        z = self.projector(self.backbone(torch.cat(views.images)).pooled)  # (2B, D), the first views first
        return {"z": normalise(z).view(2, len(views), -1).transpose(0, 1)}

    def loss(self, outputs: Outputs, world: World, progress: Progress) -> Loss:
        """NT-Xent of this process's rows against those of every process."""
        z = outputs["z"]
        loss, found = nt_xent(z, world.join(z), world.own(len(z)).start, self.temperature)
        return Loss(
            total=loss,
            parts={
                "positive_similarity": (z[:, 0] * z[:, 1]).detach().sum(-1).mean(),
                "embedding_std": embedding_std(z.flatten(0, 1)),
                "top1": found.float().mean(),
            },
        )

    def encoder(self) -> Backbone:
        """The backbone; the projector is dropped after training."""
        return self.backbone

    def chance_level(self) -> float:
        """The log of the number of candidates, 2 * batch_size - 1."""
        return nt_xent_chance(self.batch_size)
