"""The card of a data set: what its images are, in words and numbers."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen, validators

from .values import ImageShape, Target


@frozen(kw_only=True)
class DatasetCard:
    """What a reader must know before using the images.

    Attributes:
        name: The data set's name.
        shape: The shape of one image; with partners, of one of them.
        bands: The names of the bands, one a channel.
        pixel_scale: Arcseconds per pixel.
        targets: The targets by name.
        splits: Images in each split; a split whose count is unknown before reading has ``None``.
        partners: Images per sample: above 1, ``Sample.image`` is (P, C, H, W) and view v uses partner v mod P.
        licence: Under which terms the images may be used.
        citation: What to cite.
        about: How the images came to be, quirks included.

    Raises:
        ValueError: The number of bands is not the number of channels, or partners is below 1.
    """

    name: str
    shape: ImageShape
    bands: tuple[str, ...]
    pixel_scale: float = field(validator=validators.gt(0))
    targets: Mapping[str, Target]
    splits: Mapping[str, int | None]
    partners: int = field(default=1, validator=validators.ge(1))
    licence: str = ""
    citation: str = ""
    about: str = ""

    def __attrs_post_init__(self) -> None:
        if len(self.bands) != self.shape.channels:
            raise ValueError(f"card {self.name!r}: {len(self.bands)} bands for {self.shape.channels} channels")
