"""The smallest real parts: a backbone and methods that run in milliseconds, in any precision."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deeplense_registry import (
    Backbone,
    BackboneFacts,
    Features,
    ImageShape,
    Loss,
    Method,
    Outputs,
    Progress,
    Recipe,
    RunFacts,
    ViewPlan,
    Views,
    ViewSpec,
    World,
)

SHAPE = ImageShape(1, 8, 8)


class ToyBackbone(Backbone):
    """A convolution and a mean; dropout to show where random numbers come from."""

    width = 6

    def __init__(self, options: Any, shape: ImageShape, *, drop_path: float | None = None, norm: bool = False) -> None:
        super().__init__(options, shape)
        self.conv = nn.Conv2d(shape.channels, self.width, 3, padding=1)
        self.norm = nn.BatchNorm2d(self.width) if norm else nn.Identity()
        self.dropout = nn.Dropout(drop_path or 0.0)

    def forward(self, images: Tensor, *, pose: Tensor | None = None) -> Features:
        grid = F.gelu(self.norm(self.conv(images)))
        return Features(pooled=self.dropout(grid).mean((2, 3)), grid=grid)


class ToyContrast(Method):
    """Contrast two views, with a prototype matrix used in the loss and a bank that remembers."""

    recipe = Recipe(optimiser="sgd", learning_rate=0.1, reference_batch=None, weight_decay=0.0)
    lens_recipe = Recipe(learning_rate=1e-2, reference_batch=None)

    def __init__(self, options: Any, make_backbone: Any, facts: RunFacts) -> None:
        super().__init__(options, make_backbone, facts)
        self.backbone = make_backbone()
        self.prototypes = nn.Parameter(torch.linspace(-1.0, 1.0, 5 * self.backbone.width).view(5, -1))
        self.register_buffer("bank", torch.zeros(facts.images))
        self.register_buffer("moved", torch.zeros(()))

    def view_plan(self) -> ViewPlan:
        return ViewPlan(views=(ViewSpec(), ViewSpec()))

    def forward(self, views: Views, progress: Progress) -> Outputs:
        z = torch.stack([self.backbone(images).pooled for images in views.images], dim=1)
        return {"z": F.normalize(z, dim=-1), "index": views.index}

    def loss(self, outputs: Outputs, world: World, progress: Progress) -> Loss:
        first, second = world.join(outputs["z"]).unbind(1)
        logits = first @ second.T / 0.2
        contrast = F.cross_entropy(logits, torch.arange(len(logits), device=logits.device))
        spread = (first @ self.prototypes.T).square().mean()
        return Loss(contrast + spread, {"contrast": contrast})

    def remember(self, outputs: Outputs, world: World, progress: Progress) -> None:
        self.bank[outputs["index"]] = outputs["z"][:, 0, 0].to(self.bank.dtype)

    def after_step(self, progress: Progress) -> None:
        self.moved += 1

    def encoder(self) -> Backbone:
        return self.backbone

    def chance_level(self) -> float:
        return float(torch.log(torch.tensor(8.0)))


def toy_facts(images: int = 64, batch_size: int = 16, micro_batch: int = 16, epochs: int = 2) -> RunFacts:
    return RunFacts(
        shape=SHAPE,
        images=images,
        batch_size=batch_size,
        micro_batch=micro_batch,
        epochs=epochs,
        steps=epochs * (images // batch_size),
        backbone=BackboneFacts(width=6, min_size=1, grid=(8, 8), batch_norm=False),
    )


def toy_method(facts: RunFacts | None = None, seed: int = 0, **backbone: Any) -> ToyContrast:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ToyContrast(None, lambda: ToyBackbone(None, SHAPE, **backbone), facts or toy_facts())


def toy_views(count: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Views:
    generator = torch.Generator().manual_seed(seed)
    images = [torch.randn(count, 1, 8, 8, generator=generator, dtype=torch.float64).to(dtype) for _ in range(2)]
    return Views(tuple(images), torch.arange(count), ({}, {}))


def cut(views: Views, size: int) -> list[Views]:
    """The same images in micro-batches."""
    parts = [slice(begin, begin + size) for begin in range(0, len(views), size)]
    return [Views(tuple(v[part] for v in views.images), views.index[part], views.extras) for part in parts]
