"""Optimisers and their schedules, from a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from attrs import evolve
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from ..blocks.schedules import cosine, warmup_cosine
from ..components import RunFacts, UserError
from ..interfaces import Method, ParameterGroup, Progress, Recipe
from ..spec.tables import TrainTable


def chosen_recipe(method: Method, train: TrainTable) -> Recipe:
    """The method's recipe of the kind that the spec asks for, with what the spec sets itself."""
    recipe = method.lens_recipe if train.recipe == "lens" else method.recipe
    names = ("optimiser", "weight_decay", "warmup_epochs")
    own = {name: getattr(train, name) for name in names if getattr(train, name) is not None}
    if train.weight_decay is not None:
        own["final_weight_decay"] = None
    if train.learning_rate is not None:  # the spec's rate is for its own batch
        own |= {"learning_rate": train.learning_rate, "reference_batch": None}
    return evolve(recipe, **own)


class Optimisation:
    """An optimiser whose rates are functions of the step; only the optimiser has state."""

    def __init__(self, method: Method, recipe: Recipe, facts: RunFacts) -> None:
        """Build it for a method's parameter groups.

        Raises:
            UserError: The recipe asks for LARS and timm is not installed; or the warm-up is longer than the run.
        """
        self.recipe = recipe
        scale = 1.0 if recipe.reference_batch is None else facts.batch_size / recipe.reference_batch
        self.peak, self.end = recipe.learning_rate * scale, recipe.final_learning_rate * scale
        self.warmup = round(recipe.warmup_epochs * facts.steps_per_epoch)
        if self.warmup > facts.steps:
            raise UserError(
                f"the warm-up of {recipe.warmup_epochs:g} epochs is longer than the run ({facts.epochs} epochs): "
                "set train.warmup_epochs or train.epochs"
            )
        self.groups = tuple(method.parameter_groups(recipe))
        self.parameters = [parameter for group in self.groups for parameter in group.parameters.values()]
        self.optimiser = build_optimiser(recipe, self.groups, self.peak)

    def step(self, progress: Progress) -> None:
        """Set the rates of this step and take it."""
        rate = self.learning_rate(progress)
        decay = self.weight_decay(progress)
        for group, settings in zip(self.groups, self.optimiser.param_groups, strict=True):
            settings["lr"] = group.scale * (rate if group.scheduled else self.peak)
            settings["weight_decay"] = decay if group.decay else 0.0
        self.optimiser.step()

    def learning_rate(self, progress: Progress) -> float:
        """The rate of scheduled groups at a step."""
        return warmup_cosine(self.peak, self.end, progress.step, progress.steps, self.warmup)

    def weight_decay(self, progress: Progress) -> float:
        """The weight decay of decayed groups at a step."""
        recipe = self.recipe
        if recipe.final_weight_decay is None:
            return recipe.weight_decay
        return cosine(recipe.weight_decay, recipe.final_weight_decay, progress.fraction)

    def clip(self) -> Tensor:
        """Clip gradients as the recipe says; the global norm before clipping, a scalar."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        if self.recipe.clip is None:
            return norm
        if self.recipe.clip_each:
            for gradient in gradients:  # Caron et al. 2021: each tensor by itself
                gradient.mul_((self.recipe.clip / (gradient.norm() + 1e-6)).clamp(max=1.0))
        else:
            nn.utils.clip_grads_with_norm_(self.parameters, self.recipe.clip, norm)
        return norm


def build_optimiser(recipe: Recipe, groups: Sequence[ParameterGroup], rate: float) -> Optimizer:
    """The recipe's optimiser over the groups, in their order.

    Raises:
        UserError: LARS is asked for and timm is not installed.
    """
    settings: list[dict[str, Any]] = [{"params": list(group.parameters.values())} for group in groups]
    if recipe.optimiser == "adamw":
        return AdamW(settings, lr=rate, betas=recipe.betas, fused=True)
    if recipe.optimiser == "sgd":
        return SGD(settings, lr=rate, momentum=recipe.momentum, fused=True)
    return _lars(groups, settings, rate, recipe.momentum)


def _lars(groups: Sequence[ParameterGroup], settings: list[dict[str, Any]], rate: float, momentum: float) -> Optimizer:
    try:
        from timm.optim.lars import Lars
    except ImportError as error:
        raise UserError('optimiser "lars" comes from timm: pip install "deeplense-registry[lars]"') from error
    adapted = [{**own, "always_adapt": group.adapt} for group, own in zip(groups, settings, strict=True)]
    optimiser: Optimizer = Lars(adapted, lr=rate, momentum=momentum)
    return optimiser


def zero_grad(method: nn.Module) -> None:
    """Forget the gradients of every parameter, those outside the optimiser included."""
    for parameter in method.parameters():
        parameter.grad = None


def as_float(value: Tensor | float) -> float:
    """A scalar for the log."""
    return float(value.detach()) if isinstance(value, torch.Tensor) else float(value)
