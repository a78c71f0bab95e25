"""SiT as it was at first: predict rotations, contrast within the batch, and reconstruct (paper version 1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from deeplense_registry import Backbone, Loss, Outputs, Progress, Recipe, RunFacts, ViewPlan, Views, World
from deeplense_registry.blocks import embedding_std, normalise, widen
from deeplense_registry.blocks.nt_xent import nt_xent, nt_xent_chance

from .corruption import Distortion, turn
from .method import SiT, both, side_by_side
from .objective import weigh
from .options import SiTOptions


class OriginalSiT(SiT):
    """The encoder predicts by how many quarters a view was turned, contrasts views, and restores them.

    The paper's tokens of rotation and of contrast are the pooled features here, since not every backbone has tokens.
    Where the views are turned by any angle anyway (``views.rotate``, and lenses as they lie on the sky), no rotation
    can be told: its loss stays at log 4, and the learned weights make the best of it.
    """

    recipe: ClassVar[Recipe] = Recipe(
        optimiser="adamw", learning_rate=5e-4, reference_batch=512, warmup_epochs=10.0, weight_decay=0.05
    )

    def __init__(self, options: SiTOptions, make_backbone: Callable[..., Backbone], facts: RunFacts) -> None:
        super().__init__(options, make_backbone, facts)
        self.chance = nt_xent_chance(facts.batch_size)
        self.head = nn.Linear(self.backbone.width, self.form.output)
        self.rotation = nn.Linear(self.backbone.width, 4)
        self.uncertainty = nn.Parameter(torch.ones(3))  # of rotation, contrast, reconstruction

    def view_plan(self) -> ViewPlan:
        """Two views, turned and distorted; extras ``rotation``, ``mask`` and ``clean``."""
        form = self.form
        distortion = Distortion(
            blocks=self.blocks, drop_perc=form.drop_perc, drop_replace=form.drop_replace, drop_type=form.drop_type
        )
        return self.plan(turn, distortion)

    def forward(self, views: Views, progress: Progress) -> Outputs:
        """``z`` (B, 2, D) of unit length, ``rotation`` (B, 2) and ``error`` (B, 2), the losses of each view."""
        features = self.encode(views)
        logits = widen(self.rotation(features.pooled))  # (2B, 4)
        rows = {
            "z": normalise(self.head(features.pooled)),
            "rotation": F.cross_entropy(logits, both(views, "rotation"), reduction="none"),
            "error": (self.restore(features, views) - both(views, "clean")).abs().mean((1, 2, 3)),
        }
        return {name: side_by_side(value) for name, value in rows.items()}

    def loss(self, outputs: Outputs, world: World, progress: Progress) -> Loss:
        """Three tasks, weighed by their learned uncertainties."""
        z, rotation, reconstruction = outputs["z"], outputs["rotation"].mean(), outputs["error"].mean()
        contrast, found = nt_xent(z, world.join(z), world.own(len(z)).start, self.form.temperature)
        weight = (-self.uncertainty.detach()).exp()
        return Loss(
            total=weigh(torch.stack([rotation, contrast, reconstruction]), self.uncertainty),
            parts={
                "rotation": rotation.detach(),
                "contrast": contrast.detach(),
                "contrast_over_chance": contrast.detach() / self.chance,
                "reconstruction": reconstruction.detach(),
                "top1": found.float().mean(),
                "embedding_std": embedding_std(z.flatten(0, 1)),
                "rotation_weight": weight[0],
                "contrast_weight": weight[1],
                "reconstruction_weight": weight[2].sqrt(),
            },
        )
