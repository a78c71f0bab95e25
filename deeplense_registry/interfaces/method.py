"""The Method interface: how an encoder learns from images alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from attrs import Factory, field, frozen, validators
from torch import Tensor, nn

from ..components import RunFacts
from .backbone import Backbone
from .recipe import ParameterGroup, Recipe, split_by_decay
from .views import ViewPlan, Views
from .world import World

Outputs = dict[str, Tensor]
"""What ``forward`` and ``targets`` return: tensors by name, the sample dimension first, (B, ...).

The engine joins micro-batches along it. Several views of one width are stacked behind it: (B, V, D).
"""

Embed = Callable[[Callable[[Tensor], Tensor]], Tensor]
"""``embed(function)``: ``function(images) -> (b, D)`` over every training image, unaugmented, in evaluation mode and
without gradient; the rows (N, D) in the order of ``Views.index``, float32, on the CPU."""


@frozen(kw_only=True)
class Progress:
    """Where a run is.

    Attributes:
        step: Optimiser steps done before this one; 0 at the first.
        steps: Optimiser steps of the whole run.
        steps_per_epoch: Optimiser steps of one epoch.
    """

    step: int = field(validator=validators.ge(0))
    steps: int = field(validator=validators.ge(1))
    steps_per_epoch: int = field(validator=validators.ge(1))

    @property
    def epoch(self) -> int:
        """The epoch that this step belongs to, from 0."""
        return self.step // self.steps_per_epoch

    @property
    def fraction(self) -> float:
        """``step / steps``, in [0, 1]."""
        return self.step / self.steps


@frozen(eq=False)
class Loss:
    """A loss and what it is made of.

    Attributes:
        total: Scalar; the mean over this process's rows. The engine differentiates it.
        parts: Scalars worth watching (terms of the loss, temperature, entropy of assignments), logged by name.
    """

    total: Tensor
    parts: Mapping[str, Tensor | float] = Factory(dict)


class Method(nn.Module, ABC):
    """A self-supervised method, in two stages that scale differently.

    ``forward`` looks at one image at a time and runs per micro-batch; ``loss`` compares the images of the whole step
    and is where a method meets other processes, through ``world`` alone. So an author writes the mathematics of a
    single process, and the engine supplies micro-batches (with the exact gradient of the whole batch), processes,
    precision, checkpoints and resumption.

    One step, in order: ``prepare``; for each micro-batch ``targets`` (no gradient) and ``forward``; ``loss``; the
    backward pass; ``remember``; clipping; ``after_backward``; the optimiser; ``after_step``.

    Everything a method must remember (queue, pointer, centre, memory bank, teacher) is a parameter or a persistent
    buffer: a checkpoint holds the ``state_dict`` and nothing else. Randomness inside ``forward`` and ``targets`` may
    come from torch's default generator, which the engine seeds per micro-batch; ``loss`` and the hooks are
    deterministic.

    Attributes:
        recipe: The published optimiser and schedules (``train.recipe = "paper"``).
        lens_recipe: Those that suit lenses, thousands of images and tens of epochs (``train.recipe = "lens"``, the
            default).
        collapse_causes: Why a run of this method collapses most often, the likeliest first: a clause each, with the
            option to change. The engine names them when it warns.
    """

    recipe: ClassVar[Recipe]
    lens_recipe: ClassVar[Recipe] = Recipe(
        optimiser="adamw", learning_rate=2e-3, warmup_epochs=1.0, weight_decay=0.05, clip=3.0
    )
    collapse_causes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, options: Any, make_backbone: Callable[..., Backbone], facts: RunFacts) -> None:
        """Build the networks.

        Args:
            options: An instance of the component's options class.
            make_backbone: ``make_backbone()`` builds a backbone, newly initialised; ``make_backbone(drop_path=0.0)``
                with another rate of stochastic depth. A teacher is a second one, given the first one's state.
            facts: What is known of the run.
        """
        super().__init__()

    @abstractmethod
    def view_plan(self) -> ViewPlan:
        """How many views of which sizes."""

    @abstractmethod
    def forward(self, views: Views, progress: Progress) -> Outputs:
        """Encode, project, predict, with gradient: what the loss needs of each image."""

    @abstractmethod
    def loss(self, outputs: Outputs, world: World, progress: Progress) -> Loss:
        """Compare images: ``outputs`` holds what ``forward`` and ``targets`` returned for this process's whole batch.

        Pure: it changes nothing. It may use parameters (prototypes, a last layer) beside the outputs.
        """

    @abstractmethod
    def encoder(self) -> Backbone:
        """The backbone that evaluators receive."""

    def targets(self, views: Views, progress: Progress) -> Outputs:
        """The teacher's side, without gradient; names other than those of ``forward``."""
        return {}

    def remember(self, outputs: Outputs, world: World, progress: Progress) -> None:
        """After the loss, once a step, without gradient: queue, centre, memory bank. ``outputs`` are detached."""

    def prepare(self, progress: Progress, embed: Embed) -> None:
        """Before each step, without gradient: re-cluster, re-label, normalise prototypes."""

    def sampling_weights(self) -> Tensor | None:
        """(N,) non-negative weights by which an epoch draws its images, with replacement; ``None``: each once.

        A pure function of the method's buffers, constant within an epoch, so that a resumed run draws the same.
        """
        return None

    def after_backward(self, progress: Progress) -> None:
        """After clipping, before the optimiser: drop the gradients of what is frozen for now."""

    def after_step(self, progress: Progress) -> None:
        """After the optimiser: move the teacher."""

    def parameter_groups(self, recipe: Recipe) -> Iterable[ParameterGroup]:
        """Trainable parameters in groups; by default those of one dimension are spared weight decay."""
        named = dict(self.named_parameters())
        if recipe.decay_all:
            return (ParameterGroup(parameters={n: p for n, p in named.items() if p.requires_grad}),)
        return split_by_decay(named, spare=self._spared())

    def assign(self, features: Tensor) -> Tensor | None:
        """(B, K) probabilities of the clusters for pooled features (B, D), for methods that cluster."""
        return None

    def chance_level(self) -> float | None:
        """The loss of a model that has learned nothing, where that is a number: the mark of collapse."""
        return None

    def _spared(self) -> frozenset[str]:
        return frozenset(
            f"{prefix}.{name}" if prefix else name
            for prefix, module in self.named_modules()
            if isinstance(module, Backbone)
            for name in module.no_weight_decay()
        )
