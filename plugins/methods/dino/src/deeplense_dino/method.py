"""DINO (Caron et al. 2021, arXiv 2104.14294): self-distillation with no labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

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
from deeplense_registry.blocks import embedding_std
from deeplense_registry.blocks.ema import follow, make_teacher
from deeplense_registry.blocks.schedules import cosine

from .layers import Network
from .objective import distil, entropy, moved_centre, teacher_temperature
from .options import DINOOptions

GLOBAL = 2
"""Views of the whole image, the first of the plan; the teacher sees them alone."""


class DINO(Method):
    """The student's output for a view agrees with the teacher's for another; the teacher follows the student.

    Centring keeps one of the teacher's outputs from winning everywhere, sharpening keeps them from being all alike.
    Evaluators receive the teacher, as published: it is the better of the two.

    The published final learning rate, 1e-6, does not scale with the batch; here it does.
    """

    centre: Tensor
    recipe: ClassVar[Recipe] = Recipe(
        optimiser="adamw",
        learning_rate=5e-4,
        reference_batch=256,
        final_learning_rate=1e-6,
        warmup_epochs=DINOOptions.paper_warmup,
        weight_decay=0.04,
        final_weight_decay=0.4,
        clip=3.0,
        clip_each=True,
    )
    lens_recipe: ClassVar[Recipe] = Recipe(
        optimiser="adamw",
        learning_rate=4e-3,
        reference_batch=256,
        final_learning_rate=1e-6,
        warmup_epochs=1.0,
        weight_decay=0.04,
        final_weight_decay=0.4,
        clip=3.0,
        clip_each=True,
    )

    collapse_causes: ClassVar[tuple[str, ...]] = (
        "the teacher is not sharp enough (lower teacher_temp, to 0.02 say, or warm it up)",
        "the teacher follows too fast (raise momentum_teacher) or, in a short run, hardly at all (lower it)",
        "the last layer learns too early (raise freeze_last_layer)",
        "more outputs than the images can fill (lower out_dim)",
        "the learning rate is too high (lower train.learning_rate)",
    )

    def __init__(self, options: DINOOptions, make_backbone: Callable[..., Backbone], facts: RunFacts) -> None:
        super().__init__(options, make_backbone, facts)
        self.options, self.shape = options, facts.shape
        self.student = Network(make_backbone(drop_path=options.drop_path_rate), options)
        self.teacher = make_teacher(Network(make_backbone(drop_path=0.0), options), self.student)
        self.register_buffer("centre", torch.zeros(options.out_dim))

    def view_plan(self) -> ViewPlan:
        """Two global views of the image's size, then the local ones; the published recipes differ from view to view."""
        options = self.options
        first, second, local = (
            PaperRecipe(scale=scale, jitter=(0.4, 0.4, 0.2, 0.1), grey_p=0.2, blur_p=blur, solarise_p=solarise)
            for scale, blur, solarise in (((0.4, 1.0), 1.0, 0.0), ((0.4, 1.0), 0.1, 0.2), ((0.05, 0.4), 0.5, 0.0))
        )
        whole = [ViewSpec(scale=options.global_crops_scale, paper=paper) for paper in (first, second)]
        part = ViewSpec(size=options.local_size(self.shape), scale=options.local_crops_scale, paper=local)
        return ViewPlan(views=(*whole, *[part] * options.local_crops_number))

    def forward(self, views: Views, progress: Progress) -> Outputs:
        """``student`` (B, V, bottleneck_dim): the student's bottlenecks of all views."""
        return {"student": self.student(views.images)}

    def targets(self, views: Views, progress: Progress) -> Outputs:
        """``teacher`` (B, 2, bottleneck_dim): the teacher's bottlenecks of the global views."""
        return {"teacher": self.teacher(views.images[:GLOBAL])}

    def loss(self, outputs: Outputs, world: World, progress: Progress) -> Loss:
        """Cross-entropy over the pairs of different views of this process's images."""
        student = outputs["student"]
        temperature = self.teacher_temperature(progress)
        step = distil(
            self.student.last_layer(student),
            self.teacher.last_layer(outputs["teacher"]),
            self.centre,
            student_temp=self.options.student_temp,
            teacher_temp=temperature,
        )
        return Loss(
            total=step.loss,
            parts={
                "embedding_std": embedding_std(student[:, :GLOBAL].flatten(0, 1)),
                "teacher_entropy": entropy(step.teacher),
                "teacher_mean_entropy": entropy(step.teacher.mean((0, 1))),
                "centre_norm": self.centre.norm(),
                "teacher_temperature": temperature,
                "momentum": self.momentum(progress),
            },
        )

    def remember(self, outputs: Outputs, world: World, progress: Progress) -> None:
        """Move the centre. The last layer is linear: the logits' mean is that of the mean bottleneck."""
        mean = world.mean(outputs["teacher"].mean((0, 1)))  # (bottleneck_dim,)
        self.centre.copy_(moved_centre(self.centre, self.teacher.last_layer(mean), self.options.center_momentum))

    def after_backward(self, progress: Progress) -> None:
        """Keep the student's last layer as it is in the first epochs."""
        if progress.epoch < self.options.freeze_last_layer:
            for parameter in self.student.last_layer.parameters():
                parameter.grad = None

    def after_step(self, progress: Progress) -> None:
        """The teacher follows the student; batch norm's statistics stay its own."""
        follow(self.teacher, self.student, self.momentum(progress))

    def momentum(self, progress: Progress) -> float:
        """Of the teacher, after this step; it nears 1 at the end of the run and does not reach it."""
        return cosine(self.options.momentum_teacher, 1.0, progress.fraction)

    def teacher_temperature(self, progress: Progress) -> float:
        """Of the teacher's outputs, constant within an epoch."""
        options = self.options
        return teacher_temperature(
            progress.epoch, options.warmup_teacher_temp, options.teacher_temp, options.warmup_teacher_temp_epochs
        )

    def encoder(self) -> Backbone:
        """The teacher's backbone; the student and the heads are dropped after training."""
        return self.teacher.backbone

    def chance_level(self) -> float:
        """The log of the number of outputs: all of them alike."""
        return math.log(self.options.out_dim)
