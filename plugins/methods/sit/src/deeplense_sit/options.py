"""The options of SiT."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

import attrs
from attrs import frozen, validators

from deeplense_registry import RunFacts, option

Fill = Literal["zeros", "noise", "copy"]

_covered = validators.optional(validators.and_(validators.ge(0.0), validators.le(0.9)))


@frozen(kw_only=True)
class Form:
    """Values published for both variants, which differ between them; see the options of the same names."""

    drop_perc: float
    drop_replace: float
    drop_type: Fill
    block: float
    temperature: float
    output: int


FORMS = {
    "v2": Form(drop_perc=0.5, drop_replace=0.3, drop_type="zeros", block=0.3, temperature=0.2, output=256),
    "v1": Form(drop_perc=0.3, drop_replace=0.3, drop_type="noise", block=0.25, temperature=0.5, output=512),
}
ONLY_V2 = ("replace_p", "reconstruction_weight", "hidden", "momentum")


@frozen
class SiTOptions:
    """``[method.sit]``.

    Lens defaults differ from the published values in ``hidden`` (published 4096), ``momentum`` (0.996),
    ``reconstruction_weight`` (1; 5 for small data sets), ``decoder_width`` (the backbone's) and ``drop_path`` (0.1).
    """

    paper_warmup: ClassVar[float] = 10.0
    """Epochs of warm-up of the published recipe, which `deeplense check` holds to the length of the run."""

    variant: Literal["v2", "v1"] = option(
        'Two methods bear the name. "v2", the current form: contrast with a teacher, reconstruct what was hidden. '
        '"v1", the original: predict rotations, contrast within the batch, reconstruct; the weights are learned.',
        "v2",
    )
    drop_perc: float | None = option(
        "Fraction of an image that blocks hide. Published, and the default: 0.5; in v1 up to 0.3.", None, _covered
    )
    drop_replace: float | None = option(
        "Fraction of an image that blocks of another image of the micro-batch cover. Published, and the default: 0.3; "
        "in v1 up to 0.3.",
        None,
        _covered,
    )
    replace_p: float = option(
        "Probability that an image is pasted into (drop_replace) rather than hidden (drop_perc). Published: 0.5.",
        0.5,
        validators.ge(0.0),
        validators.le(1.0),
    )
    drop_type: Fill | None = option(
        "What hides: zeros, normal noise, or another place of the same image. Published, and the default: zeros; in "
        "v1 noise.",
        None,
    )
    drop_align: int = option(
        "Blocks start at multiples of it and have sides of such, in pixels. Published: 1.", 1, validators.ge(1)
    )
    block: float | None = option(
        "Bound of a block's sides, as a fraction of the image's. Published, and the default: 0.3; in v1 0.25.",
        None,
        validators.optional(validators.and_(validators.gt(0.0), validators.le(1.0))),
    )
    temperature: float | None = option(
        "Of the similarities, above 0. Published, and the default: 0.2; in v1 0.5.",
        None,
        validators.optional(validators.gt(0.0)),
    )
    reconstruction_weight: float = option(
        "Weight of the reconstruction against the contrast, from 0. Published: 1, and 5 for small data sets.",
        5.0,
        validators.ge(0.0),
    )
    hidden: int = option(
        "Width of the contrast head's hidden layers. Published: 4096, for a million images.", 512, validators.ge(1)
    )
    output: int | None = option(
        "Width of the embeddings that are compared. Published, and the default: 256; in v1 512.",
        None,
        validators.optional(validators.ge(2)),
    )
    decoder_width: int = option(
        "Channels of the decoder. Published: the backbone's width (a transformer's, of one coarse grid).",
        128,
        validators.ge(1),
    )
    momentum: float = option(
        "Of the teacher at the first step, rising to 1 at the last. Published: 0.996, for 800 epochs of a million "
        "images; a teacher that moves for hundreds of steps must follow within hundreds.",
        0.99,
        validators.ge(0.0),
        validators.le(1.0),
    )
    drop_path: float | None = option(
        "Rate of stochastic depth of the encoder in training, in [0, 1); the teacher has none. By default the "
        "backbone's own. Published: 0.1.",
        None,
        validators.optional(validators.and_(validators.ge(0.0), validators.lt(1.0))),
    )

    @property
    def form(self) -> Form:
        """The published values of the variant, and instead of them those that were given."""
        given = {field.name: getattr(self, field.name) for field in attrs.fields(Form)}
        return attrs.evolve(FORMS[self.variant], **{name: value for name, value in given.items() if value is not None})

    def check(self, facts: RunFacts) -> Iterable[str]:
        """What is wrong with a run of these facts."""
        if facts.micro_batch < 2:
            yield "SiT pastes from another image of the micro-batch: set train.micro_batch to 2 or more"
        if min(facts.backbone.grid) < 2:
            yield (
                f"the backbone's last grid is {facts.backbone.grid[0]}x{facts.backbone.grid[1]}: too coarse to "
                f"reconstruct images of {facts.shape} from; use larger images, or a variant with smaller cells"
            )
        yield from self._check_blocks(facts)
        yield from self._check_variant(facts)

    def _check_blocks(self, facts: RunFacts) -> Iterable[str]:
        form, side = self.form, min(facts.shape.height, facts.shape.width)
        if int(form.block * side) <= self.drop_align:
            yield (
                f"blocks of {self.drop_align} pixels (drop_align) to below {form.block:g} of {side} pixels (block) "
                "leave no room: lower drop_align, or raise block"
            )
        pasted = self.replace_p if self.variant == "v2" else 0.5
        if (1.0 - pasted) * form.drop_perc + pasted * form.drop_replace == 0.0:
            yield "nothing is hidden, and so nothing reconstructed: raise drop_perc, drop_replace or replace_p"

    def _check_variant(self, facts: RunFacts) -> Iterable[str]:
        if self.variant != "v1":
            return
        if facts.shape.height != facts.shape.width:
            yield f'variant "v1" turns images by quarters, which must be square; these are {facts.shape}'
        for name in ONLY_V2:
            if getattr(self, name) != getattr(SiTOptions(), name):
                yield f'{name} has no meaning in variant "v1"; leave it out, or use "v2"'
