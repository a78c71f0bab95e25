"""SwAV (Caron et al. 2020, arXiv 2006.09882)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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
from deeplense_registry.blocks import Layer, embedding_std, mlp, normalise
from deeplense_registry.blocks.multicrop import encode_views
from deeplense_registry.blocks.queue import Queue
from deeplense_registry.blocks.sinkhorn import sinkhorn
from deeplense_registry.interfaces import Embed

from .objective import entropy, swapped_prediction
from .options import SwAVOptions

ASSIGNED = 2
"""Large views, each of which gets assignments that the other views predict."""


class SwAV(Method):
    """Two large and several small views of an image predict each other's cluster; the clusters are kept in balance.

    The prototypes are parameters used in the loss, so that scores need not travel between the stages. The queue holds
    embeddings of every process; each process scores its own share of it.
    """

    recipe: ClassVar[Recipe] = Recipe(  # that of batches of 256; LARS adapts and decays every parameter
        optimiser="lars", learning_rate=0.6, final_learning_rate=6e-4, weight_decay=1e-6, decay_all=True, momentum=0.9
    )
    lens_recipe: ClassVar[Recipe] = Recipe(
        optimiser="adamw", learning_rate=2e-3, reference_batch=256, warmup_epochs=1.0, weight_decay=0.05, clip=3.0
    )

    collapse_causes: ClassVar[tuple[str, ...]] = (
        "more prototypes than the images have kinds (lower prototypes)",
        "assignments are too soft (lower epsilon)",
        "the prototypes learn too early (raise freeze_epochs)",
        "the queue is too long or used too early (shorten queue, raise queue_start)",
        "the small views show too little (raise local_scale)",
    )

    def __init__(self, options: SwAVOptions, make_backbone: Callable[..., Backbone], facts: RunFacts) -> None:
        super().__init__(options, make_backbone, facts)
        self.options = options
        self.local_side = options.local_side(facts)
        self.backbone = make_backbone()
        hidden = Layer(options.hidden, norm="affine", activation=nn.ReLU)
        self.projector = mlp(self.backbone.width, hidden, Layer(options.output))
        self.prototypes = nn.Linear(options.output, options.prototypes, bias=False)
        self.queue = Queue(ASSIGNED, options.queue, options.output)

    def view_plan(self) -> ViewPlan:
        """Two large views, then the small ones."""
        options = self.options
        large = ViewSpec(scale=options.global_scale, paper=_paper((0.14, 1.0)))
        small = ViewSpec(size=self.local_side, scale=options.local_scale, paper=_paper((0.05, 0.14)))
        return ViewPlan(views=(large,) * ASSIGNED + (small,) * options.local_crops)

    def prepare(self, progress: Progress, embed: Embed) -> None:
        """Bring the prototypes to unit length."""
        weight = self.prototypes.weight
        weight.copy_(F.normalize(weight, dim=-1))

    def forward(self, views: Views, progress: Progress) -> Outputs:
        """``z`` (B, V, D): the embeddings of every view, of unit length, float32."""
        z = self.projector(encode_views(self.backbone, views.images).flatten(0, 1))  # all views as one batch
        return {"z": normalise(z).view(len(views), len(views.images), -1)}

    def loss(self, outputs: Outputs, world: World, progress: Progress) -> Loss:
        """Swapped prediction, with assignments of this process's rows balanced over those of every process."""
        z = outputs["z"]
        logits = self.prototypes(z) / self.options.temperature  # (B, V, K)
        assignments = self._assignments(z.detach()[:, :ASSIGNED], world)
        return Loss(swapped_prediction(logits, assignments), self._parts(z, logits.detach(), assignments))

    def remember(self, outputs: Outputs, world: World, progress: Progress) -> None:
        """Embeddings of the large views into the queue, from its first epoch on."""
        if progress.step >= self.options.queue_start * progress.steps_per_epoch:
            self.queue.push(world.join(outputs["z"][:, :ASSIGNED]))

    def after_backward(self, progress: Progress) -> None:
        """Hold the prototypes still at first."""
        if progress.step < self.options.freeze_epochs * progress.steps_per_epoch:
            self.prototypes.weight.grad = None

    def encoder(self) -> Backbone:
        """The backbone; projector and prototypes are dropped after training."""
        return self.backbone

    def assign(self, features: Tensor) -> Tensor:
        """The predictions (B, K) of an image's cluster from its pooled features (B, D)."""
        scores = normalise(self.projector(features)) @ normalise(self.prototypes.weight).T
        return (scores / self.options.temperature).softmax(-1)

    def chance_level(self) -> float:
        """The log of the number of prototypes."""
        return math.log(self.options.prototypes)

    @torch.no_grad()
    def _assignments(self, z: Tensor, world: World) -> Tensor:
        """(B, A, K) of embeddings (B, A, D), each view apart, balanced together with the queue if it is full."""
        rows = z.transpose(0, 1)  # (A, B, D)
        if self.queue.full():
            share = world.own(self.queue.length // world.size)  # batch_size divides the queue, processes batch_size
            rows = torch.cat([rows, self.queue.rows[:, share]], dim=1)
        options = self.options
        balanced = sinkhorn(self.prototypes(rows), world, epsilon=options.epsilon, iterations=options.iterations)
        return balanced[:, : len(z)].transpose(0, 1)

    def _parts(self, z: Tensor, logits: Tensor, assignments: Tensor) -> dict[str, Tensor]:
        """What tells of collapse; entropies as fractions of the largest, log K."""
        usual = logits.softmax(-1).mean((0, 1))  # (K,), how the views' predictions fall on the prototypes
        parts = {
            "embedding_std": embedding_std(z.flatten(0, 1)),
            "assignment_entropy": entropy(assignments).mean() / self.chance_level(),
            "prototype_usage": entropy(usual) / self.chance_level(),
        }
        return {**parts, "queue_fill": self.queue.fill()} if self.queue.length else parts


def _paper(scale: tuple[float, float]) -> PaperRecipe:
    return PaperRecipe(scale=scale, flip=0.5, jitter=(0.8, 0.8, 0.8, 0.2), jitter_p=0.8, grey_p=0.2, blur_p=0.5)
