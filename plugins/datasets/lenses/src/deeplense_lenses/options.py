"""The options of ``[dataset.lenses]``, and what follows from them before an image is made. Torch-free."""

from __future__ import annotations

from typing import Any, Literal

from attrs import Attribute, frozen, validators

from deeplense_registry import DatasetFacts, ImageShape, Target, option

from .recipes import CLASSES

_at_least_one = validators.ge(1)


def _even(_: Any, attribute: Attribute[int], value: int) -> None:
    """An odd size has a pixel on the lens's singular centre, where no sample is right."""
    if value % 2:
        raise ValueError(f"'{attribute.name}' must be even, so that no pixel lies on the lens's centre: {value}")


@frozen
class LensesOptions:
    """Which lenses to simulate, how many, and how they are observed."""

    recipe: Literal["model-1"] = option('Physics and instrument: "model-1" is Model I of DeepLenseSim.', "model-1")
    size: int = option(
        "Pixels along a side, even. The field of view stays that of the recipe (7.5 arcsec), so the pixel scale is "
        '7.5 / size arcsec; 150 is the published size of "model-1" (0.05 arcsec).',
        64,
        validators.ge(8),
        _even,
    )
    vary: tuple[Literal["einstein_radius"], ...] = option(
        'What is drawn for each lens where the recipe keeps it fixed: "einstein_radius" from U(0.9, 1.6) arcsec.', ()
    )
    noise: Literal["gaussian", "published"] = option(
        'White Gaussian noise at peak_snr ("gaussian", flux in units of the source\'s central brightness), or the '
        'noise of the recipe as published ("published", counts).',
        "gaussian",
    )
    peak_snr: float = option(
        'With noise = "gaussian": the brightest pixel of the noiseless image over the rms of the noise.',
        60.0,
        validators.gt(0.0),
    )
    train: int = option("Training images.", 4000, _at_least_one)
    val: int = option("Validation images.", 500, _at_least_one)
    test: int = option("Test images.", 1000, _at_least_one)
    seed: int = option("Seed of every draw.", 0, validators.ge(0))

    def facts(self) -> DatasetFacts:
        """Shape, images per split and targets."""
        return DatasetFacts(
            shape=ImageShape(channels=1, height=self.size, width=self.size),
            images={"train": self.train, "val": self.val, "test": self.test},
            targets={
                "class": Target(classes=CLASSES, about="The dark-matter substructure of the lens."),
                "einstein_radius": Target(unit="arcsec", about=self._about_einstein_radius()),
            },
        )

    def _about_einstein_radius(self) -> str:
        varied = "einstein_radius" in self.vary
        return f"Of the main lens; {'varied' if varied else 'the same for every lens, as published'}."
