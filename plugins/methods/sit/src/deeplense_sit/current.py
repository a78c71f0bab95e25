"""SiT as it is now: contrast with a teacher, and reconstruct what was hidden (paper version 2, authors' code)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from deeplense_registry import Backbone, Loss, Outputs, Progress, RunFacts, ViewPlan, Views, World
from deeplense_registry.blocks import Layer, embedding_std, mlp, normalise
from deeplense_registry.blocks.ema import follow, make_teacher
from deeplense_registry.blocks.schedules import cosine

from .corruption import Corruption
from .method import SiT, both, side_by_side
from .objective import hidden_error, teacher_contrast, teacher_contrast_chance
from .options import SiTOptions


class CurrentSiT(SiT):
    """The student sees corrupted views and must agree with a teacher that sees clean ones, and restore them.

    As published, both views go through the networks as one batch, and the teacher normalises by the batch too. What
    the loss of an ignorant model is depends on the images, by its reconstruction: so there is no ``chance_level``, and
    ``contrast_over_chance`` tells collapse instead.
    """

    def __init__(self, options: SiTOptions, make_backbone: Callable[..., Backbone], facts: RunFacts) -> None:
        super().__init__(options, make_backbone, facts)
        head = partial(contrast_head, self.backbone.width, options.hidden, self.form.output)
        self.chance = teacher_contrast_chance(facts.batch_size, self.form.temperature)
        self.head = head()
        self.teacher = make_teacher(make_backbone(drop_path=0.0), self.backbone)
        self.teacher_head = make_teacher(head(), self.head)

    def view_plan(self) -> ViewPlan:
        """Two views, each with blocks hidden or pasted; extras ``mask`` and ``clean``."""
        form = self.form
        return self.plan(
            Corruption(
                blocks=self.blocks,
                drop_perc=form.drop_perc,
                drop_replace=form.drop_replace,
                replace_p=self.options.replace_p,
                drop_type=form.drop_type,
            )
        )

    def forward(self, views: Views, progress: Progress) -> Outputs:
        """Of the corrupted views ``z`` (B, 2, D) of unit length, ``error`` (B, 2) and ``hidden`` (B, 2)."""
        features = self.encode(views)
        error, hidden = hidden_error(
            self.restore(features, views), both(views, "clean"), both(views, "mask")
        )  # (2B,) each
        z = normalise(self.head(features.pooled))
        return {name: side_by_side(rows) for name, rows in {"z": z, "error": error, "hidden": hidden}.items()}

    def targets(self, views: Views, progress: Progress) -> Outputs:
        """The teacher's ``target`` (B, 2, D) of the clean views, of unit length."""
        return {"target": side_by_side(normalise(self.teacher_head(self.teacher(both(views, "clean")).pooled)))}

    def loss(self, outputs: Outputs, world: World, progress: Progress) -> Loss:
        """The contrast of this process's images with the teacher's of all, and the mean error of all hidden pixels."""
        z, target = outputs["z"], outputs["target"]
        contrast, found = teacher_contrast(z, world.join(target), world.own(len(z)).start, self.form.temperature)
        hidden = world.sum(outputs["hidden"].sum())
        reconstruction = world.sum(outputs["error"].sum()) / hidden.clamp_min(1.0)
        return Loss(
            total=contrast + self.options.reconstruction_weight * reconstruction,
            parts={
                "contrast": contrast.detach(),
                "contrast_over_chance": contrast.detach() / self.chance,
                "reconstruction": reconstruction.detach(),
                "top1": found.float().mean(),
                "embedding_std": embedding_std(z.flatten(0, 1)),
                "teacher_std": embedding_std(target.flatten(0, 1)),
                "momentum": self.momentum(progress),
            },
        )

    def after_step(self, progress: Progress) -> None:
        """Move the teacher."""
        momentum = self.momentum(progress)
        follow(self.teacher, self.backbone, momentum)
        follow(self.teacher_head, self.head, momentum)

    def momentum(self, progress: Progress) -> float:
        """The teacher's, at this step: from the option's along a cosine to 1."""
        return cosine(self.options.momentum, 1.0, progress.fraction)


def contrast_head(inputs: int, hidden: int, output: int) -> nn.Sequential:
    """Three linear layers with bias and batch norm: ReLU behind the first, GELU behind the second; the last is bare."""
    return mlp(
        inputs,
        Layer(hidden, norm="affine", activation=nn.ReLU),
        Layer(hidden, norm="affine", activation=nn.GELU),
        Layer(output, norm="plain"),
    )
