"""The options of ``[dataset.archives]``. Torch-free."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from attrs import field, frozen, validators

from deeplense_registry import DatasetFacts, files_fingerprint, option


def _absolute(path: str | None) -> str | None:
    """Shards are kept by the options: one relative path must not name two archives."""
    return None if path is None else str(Path(path).expanduser().absolute())


@frozen
class ArchivesOptions:
    """Which archive, and how its images are divided."""

    path: str = field(
        converter=_absolute,
        metadata={"about": "The archive as published: a folder, .tgz, .tar.gz, .tar or .zip; read in place."},
        kw_only=True,
    )
    test: str | None = field(
        default=None,
        converter=_absolute,
        metadata={
            "about": "The test archive, any of the same kinds; by default what lies beside path with _test in its name."
        },
        kw_only=True,
    )
    indices: str | None = field(
        default=None,
        converter=_absolute,
        metadata={
            "about": "An index file (.pkl or .json) that divides the images, {split: {class: [file names]}}; by "
            "default the archive's own indices.pkl or indices.json."
        },
        kw_only=True,
    )
    classes: tuple[str, ...] = option(
        "Class folders in label order, instead of the published ones; or the names of the labels 0, 1, ... of a stack.",
        (),
    )
    val_fraction: float = option(
        "Part of the training images of each class held out for validation, where the archive has none for it.",
        0.1,
        validators.ge(0.0),
        validators.lt(1.0),
    )
    test_fraction: float = option(
        "Part of the training images of each class held out for testing, where there is no test archive.",
        0.0,
        validators.ge(0.0),
        validators.lt(1.0),
    )
    seed: int = option("Seed of what is held out.", 0, validators.ge(0))
    broken: Literal["stop", "skip"] = option(
        'Images that cannot be used: refuse the archive and name them ("stop"), or leave them out and warn ("skip").',
        "stop",
    )
    pixel_scale: float | None = option(
        "Arcseconds per pixel, where the archive is none of Models I to IV.",
        None,
        validators.optional(validators.gt(0.0)),
    )
    bands: tuple[str, ...] = option('Names of the bands; by default "grey" for one and "g", "r", "i" for three.', ())

    def __attrs_post_init__(self) -> None:
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError("val_fraction and test_fraction leave no training images; their sum must be below 1")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("'classes' names a class twice")

    def fingerprint(self) -> str:
        """Changes with the files, of which nothing is read: shards and runs are kept by it beside the options."""
        from .survey import sources

        indices = [Path(self.indices)] if self.indices else []
        return files_fingerprint([*sources(self), *indices])

    def facts(self) -> DatasetFacts | None:
        """What an earlier reading of the same files found; ``None`` while nobody has read them."""
        from .survey import remembered

        survey = remembered(self) if Path(self.path).exists() else None
        if survey is None:
            return None
        return DatasetFacts(shape=survey.image_shape, images=survey.counts(), targets=survey.targets())
