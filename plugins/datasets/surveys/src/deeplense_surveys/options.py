"""The options of ``[dataset.surveys]``. Torch-free."""

from __future__ import annotations

from math import fsum
from pathlib import Path
from typing import Any, Literal

from attrs import NOTHING, Attribute, frozen, validators

from deeplense_registry import files_fingerprint, option

SPLITS = ("train", "val", "test")


def _fractions(_: Any, attribute: Attribute[Any], value: dict[str, float]) -> None:
    if unknown := sorted(value.keys() - set(SPLITS)):
        raise ValueError(f"'{attribute.name}' has {unknown[0]!r}; the splits are {', '.join(SPLITS)}")
    if "train" not in value or min(value.values()) <= 0 or fsum(value.values()) > 1 + 1e-9:
        raise ValueError(f"'{attribute.name}' needs train, each above 0, their sum at most 1: {value}")


def _distinct(_: Any, attribute: Attribute[Any], value: tuple[str, ...]) -> None:
    if len(set(value)) < len(value):
        raise ValueError(f"'{attribute.name}' names one twice: {', '.join(value)}")


@frozen
class TargetOptions:
    """``[dataset.surveys.targets.NAME]``: a column that encoders are judged by."""

    kind: Literal["quantity", "class"] = option("A physical quantity, or a class.", "quantity")
    column: str | None = option("The column of the catalogue; by default it is called as the target.", None)
    unit: str = option("Unit of a quantity; empty for a pure number.", "")
    classes: tuple[str, ...] = option(
        "Classes in label order; by default all values of the column, sorted.", (), _distinct
    )
    missing: tuple[float | str, ...] = option(
        "Values that stand for unknown, such as -9999.0; an empty cell and NaN do anyway.", ()
    )

    def __attrs_post_init__(self) -> None:
        if self.kind == "class" and self.unit:
            raise ValueError("a class has no unit; leave 'unit' out")
        if self.kind == "quantity" and self.classes:
            raise ValueError("a quantity has no classes; leave 'classes' out, or write kind = \"class\"")


@frozen
class SurveysOptions:
    """Where the images lie, what is known of them, and what of it to learn from."""

    path: str = option("A folder of FITS cut-outs, an HDF5 file, or a folder of HDF5 files.", NOTHING)
    layout: Literal["auto", "fits", "sdss", "multimodal-universe"] = option(
        'How images are stored; "auto" tells by the catalogue (FITS) and by the names in the HDF5 file.', "auto"
    )
    catalogue: str | None = option(
        "Table of the FITS cut-outs, a row for each image (.fits, .csv, .ecsv or .parquet); HDF5 files bring theirs.",
        None,
    )
    files: str = option(
        "Name of an image's FITS file below path. {id} is the object's id, {band} the band, {NAME} any column, with a "
        "Python format where wanted: {id:06d}. Without {band} the file holds all bands, a plane each.",
        "{id}_{band}.fits",
    )
    id: str | None = option(
        "Column of unique names of the objects; by default object_id, objid or id, in any case.", None
    )
    bands: tuple[str, ...] = option(
        "Names of the channels in their order. MultimodalUniverse files know them: then, which to take.", (), _distinct
    )
    size: int | None = option(
        "Side in pixels of the square cut from the image's centre; nothing is resampled. By default the whole image.",
        None,
        validators.optional(validators.ge(8)),
    )
    pixel_scale: float | None = option(
        "Arcsec per pixel, for images without a celestial WCS and without a column image_scale or pixel_scale.",
        None,
        validators.optional(validators.gt(0.0)),
    )
    psf_fwhm: str | None = option(
        "Column of the PSF's full width at half maximum in arcsec; {band} stands for each band. By default "
        "image_psf_fwhm, psfsize_{band}, psf_fwhm_{band} or psf_fwhm, where there is one.",
        None,
    )
    noise: str | None = option(
        "Column of the noise's rms in the image's unit; {band} stands for each band. By default noise_{band} or noise, "
        "where there is one, or what image_ivar says.",
        None,
    )
    ebv: str | None = option("Column of E(B-V) in magnitudes; by default ebv or e_bv, where there is one.", None)
    keep: tuple[str, ...] = option("Further columns to keep beside the pixels.", (), _distinct)
    targets: dict[str, TargetOptions] = option("What to learn from labels, by name.", factory=dict)
    split: str | None = option("Column that says train, val or test; an empty cell leaves the row out.", None)
    fractions: dict[str, float] = option(
        "Without a split column: the fraction of the objects in each split, drawn at random.",
        NOTHING,
        _fractions,
        factory=lambda: {"train": 0.8, "val": 0.1, "test": 0.1},
    )
    seed: int = option("Seed of that draw.", 0, validators.ge(0))
    missing_files: Literal["stop", "skip"] = option(
        "What to do about a row of the catalogue without its FITS file: stop, or skip the row and report it.", "stop"
    )

    def fingerprint(self) -> str:
        """Changes with the files, of which nothing is read: shards and runs are kept by it beside the options."""
        return files_fingerprint([Path(path).expanduser() for path in (self.path, self.catalogue) if path])
