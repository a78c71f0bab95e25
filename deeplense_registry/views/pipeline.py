"""The views of a micro-batch: what the method's plan asks for, what the spec lets vary, what the encoder gets."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ..components import DatasetCard, UserError
from ..interfaces import ViewOp, ViewPlan, Views, ViewSpec
from ..spec.tables import FluxTable, ViewsTable
from .draws import log_uniform, uniform
from .geometry import look, size_of
from .paper import photograph
from .photometry import add_noise, blur, extinction, hide, lacking, redden
from .scaling import Scaling, Statistics

SMALLEST = 8  # pixels; below, neither a crop nor a view shows a lens
OFF = (0.0, 0.0)
SAME = (1.0, 1.0)
NUISANCES = ("noise", "psf_sigma", "ebv")
"""What the views want to know of an image, where its meta say it."""


class Pipeline:
    """Makes the views of a plan, under ``policy = "lens"`` or ``"paper"``.

    "lens" works on flux, in this order: geometry (one resampling), galactic reddening, brightness, PSF, noise, mask,
    flux scaling. Each target level is drawn per image, and the image gets what it lacks of it (Stein et al. 2021,
    arXiv:2110.13151).
    "paper" maps each image, all bands together, to [0, 1] and applies the view's ``PaperRecipe``; the result stays
    there. Under both the view's own operations come last.

    Attributes:
        scaling: What an image that is no view must pass to look like one to the encoder: the scaling given, or under
            "paper" the map to [0, 1], whatever ``[flux]`` says.

    Raises:
        UserError: The plan does not suit the images: a view or its crop is smaller than 8 pixels, a crop larger than
            the image, "paper" without three bands, reddening of a band whose coefficient is not known, statistics of
            another number of bands.
    """

    def __init__(
        self,
        plan: ViewPlan,
        table: ViewsTable,
        scaling: Scaling,
        card: DatasetCard,
        statistics: Statistics,
        *,
        centred: bool = False,
    ) -> None:
        """Check the plan against the data.

        Args:
            plan: The method's views.
            table: ``[views]`` of the spec.
            scaling: ``[flux]`` of the spec, applied to the views of flux.
            card: The data set's card.
            statistics: Mean and standard deviation of the training images; the unit of ``table.noise``.
            centred: Views keep the image's centre: ``table.shift`` is not applied, and crops lie about the centre.
        """
        if len(statistics.std) != len(card.bands):
            raise UserError(f"{card.name!r} has {len(card.bands)} bands, its statistics {len(statistics.std)}")
        _check(plan, table, card)
        self.plan, self.table, self.centred = plan, table, centred
        self.scaling = scaling if table.policy == "lens" else Scaling(FluxTable(scaling="minmax"), statistics)
        self._deviation = tuple(statistics.std)
        self._extinction = extinction(card.bands) if table.policy == "lens" and table.reddening != OFF else ()

    def __call__(self, images: Tensor, index: Tensor, meta: Mapping[str, Tensor], generator: torch.Generator) -> Views:
        """The views of B images.

        The same state of ``generator`` gives the same bytes; parameters differ from image to image, and no image
        enters another's view (but through the view's own operations).

        Args:
            images: (B, C, H, W), or (B, P, C, H, W) with P partners, of which view v sees partner v mod P; float32,
                flux. They are not changed.
            index: (B,) int64, positions in the training split.
            meta: (B,) each, and each optional: ``noise``, the image's own rms in its flux unit; ``psf_sigma``, its PSF
                in pixels; ``ebv``, its E(B-V) in magnitudes. NaN and what is absent count as 0.
            generator: On the images' device.
        """
        partners = images if images.ndim == 5 else images[:, None]  # (B, P, C, H, W)
        views, extras = [], []
        for number, spec in enumerate(self.plan.views):
            image = partners[:, number % partners.shape[1]]
            view = self._view(image, meta, spec, generator)
            view, extra = _apply(spec.ops, view, generator, f"view {number}")
            views.append(view)
            extras.append(extra)
        return Views(images=tuple(views), index=index, extras=tuple(extras))

    def _view(self, images: Tensor, meta: Mapping[str, Tensor], spec: ViewSpec, generator: torch.Generator) -> Tensor:
        if self.table.policy == "lens":
            views, magnification = look(images, spec, self.table, generator, centred=self.centred)
            return self.scaling(self._expose(views, meta, magnification, generator))
        size = size_of(spec, (images.shape[-2], images.shape[-1]))
        return photograph(self.scaling(images), spec.paper, size, generator, centred=self.centred)

    def _expose(
        self, views: Tensor, meta: Mapping[str, Tensor], magnification: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Sky and instrument. That resampling and smoothing lower an image's own noise is neglected."""
        table, count = self.table, len(views)
        if table.reddening != OFF:
            excess = uniform(*table.reddening, count, generator) - _own(meta, "ebv", magnification)
            views = redden(views, excess, self._extinction)
        own_noise = _own(meta, "noise", magnification)
        if table.brightness != SAME:
            factor = log_uniform(*table.brightness, count, generator)
            views, own_noise = views * factor[:, None, None, None], own_noise * factor
        if table.psf != OFF:
            own = _own(meta, "psf_sigma", magnification) * magnification  # now in the view's pixels
            views = blur(views, lacking(uniform(*table.psf, count, generator), own), table.psf[1])
        if table.noise != OFF:
            deviation = torch.tensor(self._deviation, device=views.device)  # (C,)
            target = uniform(*table.noise, (count, 1), generator) * deviation  # (B, C)
            views = add_noise(views, lacking(target, own_noise[:, None]), generator)
        if table.mask != OFF:
            views = hide(views, uniform(*table.mask, count, generator), generator)
        return views


def _check(plan: ViewPlan, table: ViewsTable, card: DatasetCard) -> None:
    shape = (card.shape.height, card.shape.width)
    for number, spec in enumerate(plan.views):
        where = f'view {number} of {len(plan.views)}, [views] policy = "{table.policy}"'
        if table.policy == "paper" and len(card.bands) != 3:
            raise UserError(
                f"{where}: it takes images of three bands, and {card.name!r} has {len(card.bands)} "
                f'({", ".join(card.bands)}); set policy = "lens"'
            )
        low, high = spec.scale if table.policy == "lens" else spec.paper.scale
        if high > 1:
            raise UserError(f"{where}: crops of up to {high:g} of the image's area; the method must ask for at most 1")
        for what, side in (
            ("it", min(size_of(spec, shape))),
            ("its smallest crop", math.sqrt(low) * min(shape)),
        ):
            if side < SMALLEST:
                raise UserError(
                    f"{where}: {what} is {side:.3g} pixels wide, below {SMALLEST}, for images of {card.shape}; "
                    f"use larger images, or larger views and crops in the method's options"
                )


def _apply(
    ops: tuple[ViewOp, ...], images: Tensor, generator: torch.Generator, where: str
) -> tuple[Tensor, dict[str, Tensor]]:
    extras: dict[str, Tensor] = {}
    for op in ops:
        images, more = op(images, generator)
        twice = sorted(extras.keys() & more.keys())
        if twice:
            raise UserError(f"{where}: two of the method's operations both return {', '.join(map(repr, twice))}")
        extras.update(more)
    return images, extras


def _own(meta: Mapping[str, Tensor], key: str, like: Tensor) -> Tensor:
    """The images' own numbers (B,) of a kind; 0 where unknown."""
    if key not in meta:
        return torch.zeros_like(like)
    return meta[key].to(like).nan_to_num(nan=0.0)
