"""VTCC (Ling et al. 2022, arXiv 2206.12925): Contrastive Clustering (Li et al. 2021) with a transformer."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

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
from deeplense_registry.blocks import Layer, embedding_std, mlp, normalise, widen
from deeplense_registry.blocks.nt_xent import nt_xent, nt_xent_chance

from .objective import cluster_contrast, cluster_entropy, unevenness
from .options import VTCCOptions

softmax = partial(nn.Softmax, dim=1)


def projector(inputs: int, hidden: int, output: int, end: Callable[[], nn.Module] | None = None) -> nn.Sequential:
    """Three linear layers with bias; batch norm and ReLU behind the first two, ``end`` behind the last."""
    inner = Layer(hidden, norm="affine", activation=nn.ReLU)
    return mlp(inputs, inner, inner, Layer(output, activation=end))


class VTCC(Method):
    """Two views of an image attract in one projection; in the other, two views of a cluster.

    The paper's backbone is a vision transformer with a convolutional stem; here it is whatever the spec names, with
    the stem it has. As in Contrastive Clustering, each view goes through the networks as a batch of its own.
    """

    recipe: ClassVar[Recipe] = Recipe(
        optimiser="adamw", learning_rate=3e-4, reference_batch=None, final_learning_rate=3e-4, weight_decay=0.0
    )
    """Adam at a constant rate (AdamW without weight decay is Adam)."""
    lens_recipe: ClassVar[Recipe] = Recipe(
        optimiser="adamw", learning_rate=2e-3, reference_batch=256, warmup_epochs=1.0, weight_decay=0.05, clip=3.0
    )

    collapse_causes: ClassVar[tuple[str, ...]] = (
        "clusters are not spread evenly enough (raise entropy_weight)",
        "more clusters than the images have kinds (lower clusters)",
        "the learning rate is too high (lower train.learning_rate)",
        "the batch has too few images of each cluster (raise train.batch_size)",
    )

    def __init__(self, options: VTCCOptions, make_backbone: Callable[..., Backbone], facts: RunFacts) -> None:
        super().__init__(options, make_backbone, facts)
        self.options = options
        self.batch_size = facts.batch_size
        self.backbone = make_backbone()
        width = self.backbone.width
        hidden = options.hidden or 4 * width
        self.instance_projector = projector(width, hidden, options.output)
        self.cluster_projector = projector(width, hidden, options.clusters, end=softmax)

    def view_plan(self) -> ViewPlan:
        """Two views of the image's size; the second may be solarised under the paper's policy."""
        shared = partial(
            PaperRecipe, scale=(0.08, 1.0), jitter=(0.4, 0.4, 0.2, 0.1), jitter_p=0.8, grey_p=0.2, blur_p=1.0
        )
        return ViewPlan(views=(ViewSpec(paper=shared()), ViewSpec(paper=shared(solarise_p=0.2))))

    def forward(self, views: Views, progress: Progress) -> Outputs:
        """``z`` (B, 2, output) of unit length and ``c`` (B, 2, clusters) probabilities, float32."""
        pooled = [self.backbone(images).pooled for images in views.images]  # (B, D) each
        return {
            "z": normalise(torch.stack([self.instance_projector(rows) for rows in pooled], dim=1)),
            "c": torch.stack([self.assign(rows) for rows in pooled], dim=1),
        }

    def loss(self, outputs: Outputs, world: World, progress: Progress) -> Loss:
        """NT-Xent of this process's images, and of the clusters as the whole step's images make them."""
        z, c = outputs["z"], world.join(outputs["c"])
        instance, found = nt_xent(z, world.join(z), world.own(len(z)).start, self.options.temperature)
        cluster = cluster_contrast(c, self.options.cluster_temperature)
        total = instance + cluster + self.options.entropy_weight * unevenness(c)
        certain = c.detach()
        return Loss(
            total=total,
            parts={
                "instance": instance.detach(),
                "cluster": cluster.detach(),
                "top1": found.float().mean(),
                "embedding_std": embedding_std(z.flatten(0, 1)),
                "assignment_entropy": cluster_entropy(certain).mean() / math.log(c.shape[-1]),
                "assignment_confidence": certain.amax(-1).mean(),
            },
        )

    def encoder(self) -> Backbone:
        """The backbone; the projectors are dropped after training."""
        return self.backbone

    def assign(self, features: Tensor) -> Tensor:
        """(B, clusters) probabilities for pooled features (B, D)."""
        return widen(self.cluster_projector(features))

    def chance_level(self) -> float:
        """Both contrasts of rows that are all alike: log(2 batch_size - 1) + log(2 clusters - 1)."""
        return nt_xent_chance(self.batch_size) + nt_xent_chance(self.options.clusters)
