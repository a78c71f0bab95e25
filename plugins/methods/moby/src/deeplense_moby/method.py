"""MoBY (Xie et al. 2021, arXiv 2105.04553): MoCo v2 with BYOL's asymmetric heads and a transformer's recipe."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
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
from deeplense_registry.blocks import Layer, embedding_std, mlp, normalise
from deeplense_registry.blocks.ema import follow, make_teacher
from deeplense_registry.blocks.queue import Queue

from .objective import momentum_at, queue_contrast
from .options import MoBYOptions


def head(inputs: int, hidden: int, output: int) -> nn.Sequential:
    """Linear, batch norm, ReLU, linear; both linear layers have a bias and the output is not normalised."""
    return mlp(inputs, Layer(hidden, norm="affine", activation=nn.ReLU), Layer(output))


class Branch(nn.Module):
    """A backbone and its projector: what student and teacher have in common."""

    def __init__(self, backbone: Backbone, options: MoBYOptions) -> None:
        super().__init__()
        self.backbone = backbone
        self.projector = head(backbone.width, options.hidden, options.output)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) to (B, D)."""
        projected: Tensor = self.projector(self.backbone(images).pooled)
        return projected


class MoBY(Method):
    """The student predicts the teacher's key of the other view among a queue of keys, in both directions.

    Each view goes through the networks as a batch of its own, as published. The teacher stays in training mode: its
    batch norm uses the batch, and its running statistics are its own.
    """

    recipe: ClassVar[Recipe] = Recipe(
        optimiser="adamw",
        learning_rate=1e-3,
        reference_batch=512,
        final_learning_rate=5e-6,
        warmup_epochs=MoBYOptions.paper_warmup,
        weight_decay=0.05,
        clip=5.0,
    )
    lens_recipe: ClassVar[Recipe] = Recipe(
        optimiser="adamw", learning_rate=2e-3, reference_batch=256, warmup_epochs=1.0, weight_decay=0.05, clip=5.0
    )

    collapse_causes: ClassVar[tuple[str, ...]] = (
        "the learning rate is too high for the queue to keep up (lower train.learning_rate)",
        "the teacher follows too fast (raise momentum)",
        "the queue holds keys that are too old, or of the same images (shorten queue)",
        "similarities are too soft to tell keys apart (lower temperature)",
    )

    def __init__(self, options: MoBYOptions, make_backbone: Callable[..., Backbone], facts: RunFacts) -> None:
        super().__init__(options, make_backbone, facts)
        self.options = options
        self.student = Branch(make_backbone(drop_path=options.drop_path), options)
        self.predictor = head(options.output, options.hidden, options.output)
        self.teacher = make_teacher(Branch(make_backbone(drop_path=0.0), options), self.student)
        self.queue = Queue(2, options.queue, options.output)
        self.queue.rows.copy_(normalise(torch.randn(self.queue.rows.shape)))  # drawn as weights are: negatives at once

    def view_plan(self) -> ViewPlan:
        """Two views of the image's size; the published recipes differ in blur and solarisation."""
        return ViewPlan(views=(ViewSpec(paper=_paper(1.0, 0.0)), ViewSpec(paper=_paper(0.1, 0.2))))

    def forward(self, views: Views, progress: Progress) -> Outputs:
        """``prediction`` (B, 2, D): of each view, by the student, of unit length, float32."""
        return {"prediction": _stacked(self.predictor(self.student(images)) for images in views.images)}

    def targets(self, views: Views, progress: Progress) -> Outputs:
        """``key`` (B, 2, D): of each view, by the teacher, of unit length, float32."""
        return {"key": _stacked(self.teacher(images) for images in views.images)}

    def loss(self, outputs: Outputs, world: World, progress: Progress) -> Loss:
        """The sum of both directions; the queue of a view holds earlier keys of that view."""
        prediction, key = outputs["prediction"], outputs["key"]
        first, found_1 = self._direction(prediction[:, 0], key, 1)
        second, found_0 = self._direction(prediction[:, 1], key, 0)
        parts: dict[str, Tensor | float] = {
            "top1": torch.cat([found_1, found_0]).float().mean(),
            "positive_similarity": (prediction.detach() * key.flip(1)).sum(-1).mean(),
            "embedding_std": embedding_std(prediction.flatten(0, 1)),
            "key_std": embedding_std(key.flatten(0, 1)),
            "queue_fill": self.queue.fill(),
            "momentum": self._momentum(progress.step, progress),
        }
        return Loss(first + second, parts)

    def remember(self, outputs: Outputs, world: World, progress: Progress) -> None:
        """The keys of every process into the queues."""
        self.queue.push(world.join(outputs["key"]))

    def after_step(self, progress: Progress) -> None:
        """Move the teacher by the momentum of the next step, whose keys are the first to see it."""
        follow(self.teacher, self.student, self._momentum(progress.step + 1, progress))

    def encoder(self) -> Backbone:
        """The student's backbone."""
        return self.student.backbone

    def chance_level(self) -> float:
        """Twice the log of the number of candidates: a key and its queue, in both directions."""
        return 2 * math.log(1 + self.options.queue)

    def _direction(self, queries: Tensor, key: Tensor, view: int) -> tuple[Tensor, Tensor]:
        return queue_contrast(queries, key[:, view], self.queue.rows[view], self.options.temperature)

    def _momentum(self, step: int, progress: Progress) -> float:
        return momentum_at(self.options.momentum, step, progress.steps)


def _stacked(embeddings: Iterable[Tensor]) -> Tensor:
    """(B, V, D) of unit length, of (B, D) for each view."""
    return torch.stack([normalise(one) for one in embeddings], dim=1)


def _paper(blur_p: float, solarise_p: float) -> PaperRecipe:
    return PaperRecipe(
        scale=(0.08, 1.0),
        flip=0.5,
        jitter=(0.4, 0.4, 0.2, 0.1),
        jitter_p=0.8,
        grey_p=0.2,
        blur_p=blur_p,
        solarise_p=solarise_p,
    )
