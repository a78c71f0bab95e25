"""The options of ``[dataset.lenses]``, and what follows from them before an image is made. Torch-free."""

from __future__ import annotations

from typing import Any, Literal

from attrs import Attribute, frozen, validators

from deeplense_registry import DatasetFacts, ImageShape, Target, option

from .light import GREY
from .recipes import CLASSES, RECIPES

_at_least_one = validators.ge(1)

Vary = Literal[
    "einstein_radius",
    "ellipticity",
    "shear",
    "source_size",
    "source_index",
    "source_ellipticity",
    "source_brightness",
]


def _even(_: Any, attribute: Attribute[int], value: int) -> None:
    """An odd size has a pixel on the lens's singular centre, where no sample is right."""
    if value % 2:
        raise ValueError(f"'{attribute.name}' must be even, so that no pixel lies on the lens's centre: {value}")


def _positive(_: Any, attribute: Attribute[Any], value: float | tuple[float, float]) -> None:
    low, high = value if isinstance(value, tuple) else (value, value)
    if not 0 < low <= high:
        raise ValueError(f"'{attribute.name}' must be a number above 0, or two in order: {value}")


def _bands(_: Any, attribute: Attribute[Any], value: tuple[str, ...]) -> None:
    if not value or len(set(value)) < len(value) or (GREY in value and len(value) > 1):
        raise ValueError(f"'{attribute.name}' must be [\"grey\"], or different bands of u, g, r, i, z, y: {value}")


@frozen
class LensesOptions:
    """Which lenses to simulate, how many, and how they are observed."""

    recipe: Literal["model-1", "model-2", "model-3", "varied"] = option(
        'Physics and instrument: "model-1" to "model-3" are Models I to III of DeepLenseSim; in "varied" every '
        "parameter of lens and source varies, whatever the class.",
        "model-1",
    )
    size: int = option(
        "Pixels along a side, even. The field of view stays that of the recipe (7.5, 6.464, 5.12 and 6.464 arcsec), so "
        "the pixel scale is the field over size; 150 is the published size of Model I, 64 of II and III.",
        64,
        validators.ge(8),
        _even,
    )
    vary: tuple[Vary, ...] = option(
        "What is drawn for each lens where a published recipe keeps it fixed: einstein_radius from U(0.9, 1.6) arcsec, "
        "ellipticity up to 0.25, shear up to 0.1, source_size from U(0.15, 0.4) arcsec, source_index from U(0.5, 2.5), "
        "source_ellipticity up to 0.3, source_brightness within 1 mag. Recipe varied has all.",
        (),
    )
    substructure_scale: float = option(
        "Mass of subhaloes and vortices over the recipe's: the larger, the more the classes differ.",
        1.0,
        _positive,
    )
    noise: Literal["gaussian", "as-published", "intended"] = option(
        'White Gaussian noise at peak_snr ("gaussian", flux in units of the source\'s central brightness); or the '
        'noise that the published images have ("as-published": Model I has shot noise twice, II and III have none); or '
        'what their authors, or the instrument, intended ("intended"). The last two in counts.',
        "gaussian",
    )
    peak_snr: float | tuple[float, float] = option(
        'With noise = "gaussian": the brightest pixel of the noiseless, lensed source over the rms of the noise; of '
        "two numbers each lens has its own between them, uniform in the logarithm.",
        60.0,
        _positive,
    )
    pairs: Literal["none", "same-lens"] = option(
        '"same-lens": a sample is two images of one lens, each of another source and with other noise; methods that '
        "take two views take one of each (LenSiam).",
        "none",
    )
    bands: tuple[Literal["grey", "u", "g", "r", "i", "z", "y"], ...] = option(
        'Bands, with recipe "varied": source and lens light have colours of their own. "grey" has none.',
        (GREY,),
        _bands,
    )
    lens_light: bool = option('Whether the lens itself shines, with recipe "varied".', False)
    train: int = option("Training images.", 4000, _at_least_one)
    val: int = option("Validation images.", 500, _at_least_one)
    test: int = option("Test images.", 1000, _at_least_one)
    shifted: int = option(
        'Images of a further split, "shifted", as another survey would have them: to see whom to trust '
        '([evaluate.trust] shifted = "shifted"). Lenses as in the others, sources and noise by the next two options.',
        0,
        validators.ge(0),
    )
    shifted_source_size: float | tuple[float, float] = option(
        "In that split the radius of a source over what it would be, at the same flux; of two numbers each lens has "
        "its own between them, uniform in the logarithm.",
        (1.5, 2.5),
        _positive,
    )
    shifted_peak_snr: float | tuple[float, float] = option("In that split, what peak_snr is.", (10.0, 60.0), _positive)
    seed: int = option("Seed of every draw.", 0, validators.ge(0))

    def __attrs_post_init__(self) -> None:
        """Refuse what contradicts the recipe."""
        published = RECIPES[self.recipe].published
        if published and (self.bands != (GREY,) or self.lens_light):
            key = "lens_light" if self.lens_light else "bands"
            raise ValueError(
                f'"{self.recipe}" has one grey band and a dark lens: leave out {key}, or set recipe = "varied"'
            )
        if self.shifted and self.noise != "gaussian":
            raise ValueError(f'images of the split "shifted" have another peak_snr: noise = "{self.noise}" has none')
        if not published and self.noise == "as-published":
            raise ValueError(f'"{self.recipe}" was never published: set noise = "gaussian" or "intended"')

    @property
    def partners(self) -> int:
        """Images of a lens."""
        return 2 if self.pairs == "same-lens" else 1

    @property
    def free(self) -> frozenset[str]:
        """What varies of lens and source."""
        return frozenset((*RECIPES[self.recipe].free, *self.vary))

    def facts(self) -> DatasetFacts:
        """Shape, images per split and targets."""
        further = {"shifted": self.shifted} if self.shifted else {}
        return DatasetFacts(
            shape=ImageShape(channels=len(self.bands), height=self.size, width=self.size),
            images={"train": self.train, "val": self.val, "test": self.test, **further},
            targets={
                "class": Target(classes=CLASSES, about="The dark-matter substructure of the lens."),
                "log10_axion_mass": Target(
                    unit="dex", about="log10 of the axion's mass in eV, uniform from -24 to -22; of class axion alone."
                ),
                "einstein_radius": Target(unit="arcsec", about=f"Of the main lens; {self._draw('einstein_radius')}."),
                "ellipticity": Target(
                    about=f"(1 - q) / (1 + q) of the main lens, q its axis ratio; {self._draw('ellipticity')}."
                ),
                "substructure_fraction": Target(
                    about="Mass of the point masses projected within the Einstein radius, over the main lens's mass "
                    "within it: the sum of their squared Einstein radii over its square."
                ),
            },
        )

    def _draw(self, parameter: str) -> str:
        return "varied" if parameter in self.free else "the same for every lens, as published"
