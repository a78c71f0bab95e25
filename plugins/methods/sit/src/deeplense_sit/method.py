"""SiT (Atito et al. 2021, arXiv 2104.03602): what its two forms share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from deeplense_registry import (
    Backbone,
    Features,
    Method,
    PaperRecipe,
    Recipe,
    RunFacts,
    ViewPlan,
    Views,
    ViewSpec,
)
from deeplense_registry.blocks import widen
from deeplense_registry.interfaces import ViewOp

from .corruption import Blocks
from .decoder import Decoder, grids_of
from .options import SiTOptions


class SiT(Method):
    """What both forms share: an encoder, a decoder, and two corrupted views.

    ``SiT(options, ...)`` is a :class:`CurrentSiT` or an :class:`OriginalSiT`, as ``options.variant`` says.
    """

    recipe: ClassVar[Recipe] = Recipe(
        optimiser="adamw",
        learning_rate=5e-4,
        reference_batch=256,
        final_learning_rate=1e-6,
        warmup_epochs=SiTOptions.paper_warmup,
        weight_decay=0.04,
        final_weight_decay=0.1,
        clip=3.0,
        clip_each=True,
    )
    lens_recipe: ClassVar[Recipe] = Recipe(
        optimiser="adamw", learning_rate=2e-3, reference_batch=256, warmup_epochs=1.0, weight_decay=0.05, clip=3.0
    )

    collapse_causes: ClassVar[tuple[str, ...]] = (
        "reconstruction outweighs the contrast (lower reconstruction_weight)",
        "too little of an image is left to tell it from others (lower drop_perc and drop_replace)",
        "the teacher follows too fast (raise momentum) or, in a short run, hardly at all (lower it)",
        "the learning rate is too high (lower train.learning_rate)",
    )

    def __new__(cls, options: SiTOptions | None = None, *_: object, **__: object) -> SiT:
        """An instance of the form that the options name; a copy, made without options, is of its own."""
        from .current import CurrentSiT  # both inherit from this class
        from .original import OriginalSiT

        form: type[Any] = cls if options is None else {"v1": OriginalSiT, "v2": CurrentSiT}[options.variant]
        instance: SiT = super().__new__(form)
        return instance

    def __init__(self, options: SiTOptions, make_backbone: Callable[..., Backbone], facts: RunFacts) -> None:
        super().__init__(options, make_backbone, facts)
        self.options, self.form = options, options.form
        self.blocks = Blocks(largest=self.form.block, align=options.drop_align)
        self.backbone = make_backbone() if options.drop_path is None else make_backbone(drop_path=options.drop_path)
        self.decoder = Decoder(grids_of(self.backbone, facts.shape), options.decoder_width, facts.shape)

    def plan(self, *ops: ViewOp) -> ViewPlan:
        """Two views of the image's size, corrupted by ``ops``; the paper's blur and solarisation differ."""
        shared = partial(PaperRecipe, scale=(0.2, 1.0), jitter=(0.4, 0.4, 0.2, 0.1), jitter_p=0.8, grey_p=0.2)
        papers = shared(blur_p=1.0), shared(blur_p=0.1, solarise_p=0.2)
        return ViewPlan(views=tuple(ViewSpec(paper=paper, ops=ops) for paper in papers))

    def encode(self, views: Views) -> Features:
        """Features of both views as one batch of 2B images, the first views first."""
        return self.backbone(torch.cat(views.images))

    def restore(self, features: Features, views: Views) -> Tensor:
        """The decoder's images of both views (2B, C, H, W), float32."""
        height, width = views.images[0].shape[-2:]
        return widen(self.decoder(features, (height, width)))

    def encoder(self) -> Backbone:
        """The backbone; heads and decoder are dropped after training."""
        return self.backbone


def both(views: Views, extra: str) -> Tensor:
    """An extra of both views, (2B, ...), the first view's first."""
    return torch.cat([extras[extra] for extras in views.extras])


def side_by_side(rows: Tensor) -> Tensor:
    """(2B, ...), the first views first, to (B, 2, ...)."""
    return rows.view(2, len(rows) // 2, *rows.shape[1:]).transpose(0, 1)
