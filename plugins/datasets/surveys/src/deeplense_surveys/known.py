"""What is known of each image beside its pixels: where it is on the sky, and what sky and instrument did to it."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from deeplense_registry import UserError

from .catalogue import Catalogue
from .images import Picture
from .options import SurveysOptions

FWHM = 2.354820045
"""Full width at half maximum of a Gaussian, in sigmas: 2 sqrt(2 ln 2)."""

Column = NDArray[np.float64]


def read_ids(catalogue: Catalogue, option: str | None, *, needed: bool = False) -> list[str]:
    """The name of each row: its object's id, or "row-000017" where the catalogue has none and none is ``needed``.

    Raises:
        UserError: An id is empty, or comes twice, or is needed and not there.
    """
    name = option or catalogue.known("object_id", "objid", "id")
    if name is None and needed:
        raise UserError(
            f"{catalogue.where} has no column object_id, objid or id for the {{id}} in 'files'; name one as 'id': "
            f"{', '.join(catalogue.names)}"
        )
    if name is None:
        return [f"row-{row:06d}" for row in range(1, catalogue.count + 1)]
    ids = catalogue.texts(name, "id")
    rows: dict[str, int] = {}
    for row, one in enumerate(ids, start=1):
        if one is None:
            raise UserError(f'{catalogue.where}: row {row} has no id (column "{name}"); fill it in, or name another')
        if one in rows:
            text = f'id {one} (column "{name}") is in rows {rows[one]} and {row}'
            raise UserError(f"{catalogue.where}: {text}; an object is one image: drop one, or name another column")
        rows[one] = row
    return list(rows)


class Known:
    """The columns that become the meta of samples.

    Attributes:
        about: Which columns are read as what, in a sentence; empty where none is.
    """

    def __init__(
        self, catalogue: Catalogue, options: SurveysOptions, bands: Sequence[str], channels: Sequence[int]
    ) -> None:
        """Read the columns.

        Args:
            catalogue: A row for each image.
            options: Name columns; where they are silent, well-known names are looked for.
            bands: Names of the channels.
            channels: Where they lie in columns that hold a number for each band of the file.

        Raises:
            UserError: A column that the options name is not there, or holds no numbers.
        """
        self._catalogue, self._bands, self._channels = catalogue, tuple(bands), list(channels)
        self._option = options.pixel_scale
        self._read: dict[str, str] = {}
        self._scale = self._per_band("pixel_scale", None, ("image_scale", "pixel_scale"))
        self._psf = self._per_band(
            "psf_fwhm", options.psf_fwhm, ("image_psf_fwhm", "psfsize_{band}", "psf_fwhm_{band}", "psf_fwhm")
        )
        self._noise = self._per_band("noise", options.noise, ("noise_{band}", "noise"))
        names = {"ra": None, "dec": None, "ebv": options.ebv}
        candidates = {"ra": ("ra",), "dec": ("dec",), "ebv": ("ebv", "e_bv")}
        single = {name: self._per_band(name, chosen, candidates[name]) for name, chosen in names.items()}
        self._single = {name: column[:, 0] for name, column in single.items() if column is not None}
        self._kept = {name: catalogue.texts(name, "keep") for name in options.keep}
        read = ", ".join(f"{name}: {column}" for name, column in self._read.items())
        self.about = f"Columns read as {read}." if read else ""

    def scale(self, picture: Picture) -> float:
        """Arcsec per pixel: of the image's header, else of its row, else of the options.

        Raises:
            UserError: None of them says.
        """
        scale = picture.pixel_scale or _mean(self._scale, picture.row) or self._option
        if scale is None:
            raise UserError(
                f"{picture.file}: neither a celestial WCS nor a column image_scale or pixel_scale tells how large a "
                "pixel is; write pixel_scale = ... (arcsec per pixel)"
            )
        return scale

    def meta(self, picture: Picture, object_id: str) -> dict[str, float | int | str]:
        """What is kept beside the pixels; a number that is not known is absent.

        ``psf_sigma`` (pixels), ``noise`` (rms, in the image's unit) and ``ebv`` (magnitudes) are what views look at: of
        several bands the mean, and each band's own as ``psf_sigma_g`` and so on.
        """
        row, scale = picture.row, self.scale(picture)
        noise = np.array([picture.noise]) if self._noise is None and picture.noise else self._noise
        numbers = {
            "pixel_scale": scale,
            **{name: float(column[row]) for name, column in self._single.items()},
            **self._bandwise("psf_sigma", self._psf, row, 1 / FWHM / scale),
            **self._bandwise("noise", noise, row if noise is self._noise else 0, 1.0),
        }
        return {
            **{name: _plain(cells[row]) for name, cells in self._kept.items() if cells[row] is not None},
            "object_id": object_id,
            "row": row + 1,
            "file": picture.file,
            "bands": ",".join(self._bands),
            **({"unit": picture.unit} if picture.unit else {}),
            **{name: number for name, number in numbers.items() if isfinite(number)},
        }

    def _per_band(self, what: str, chosen: str | None, candidates: Sequence[str]) -> Column | None:
        """(N, 1) or (N, C) numbers of the column(s) chosen, or of the first candidate that is there."""
        if chosen is not None:
            names = [chosen.replace("{band}", band) for band in self._bands] if "{band}" in chosen else [chosen]
            return self._columns(what, chosen, names)
        for candidate in candidates:
            bands = self._bands if "{band}" in candidate else ("",)
            names = [self._catalogue.known(candidate.replace("{band}", band)) or "" for band in bands]
            if all(names):
                return self._columns(what, candidate, names)
        return None

    def _columns(self, what: str, shown: str, names: Sequence[str]) -> Column:
        self._read[what] = shown if len(names) > 1 else names[0]
        parts = [self._catalogue.numbers(name, what) for name in names]
        if len(parts) == 1 and parts[0].ndim == 2:
            if parts[0].shape[1] <= max(self._channels):
                raise UserError(
                    f'{self._catalogue.where}: column "{names[0]}" ({what}) holds {parts[0].shape[1]} numbers a row, '
                    f"not one for each of the bands {', '.join(self._bands)}; name another"
                )
            return parts[0][:, self._channels]
        return np.stack(parts, axis=1)  # (N, 1) or (N, C)

    def _bandwise(self, name: str, column: Column | None, row: int, factor: float) -> dict[str, float]:
        """The mean over bands, and each band's; widths and levels are above 0, or not known."""
        if column is None or not (column[row] > 0).all():
            return {}
        values = column[row] * factor
        each = {f"{name}_{band}": float(value) for band, value in zip(self._bands, values, strict=False)}
        return {name: float(values.mean()), **(each if len(values) > 1 else {})}


def _mean(column: Column | None, row: int) -> float | None:
    """The mean of a row of positive numbers."""
    return float(column[row].mean()) if column is not None and (column[row] > 0).all() else None


def _plain(cell: str | None) -> float | int | str:
    """A cell as a number where it is one that a float holds exactly; long ids stay text."""
    assert cell is not None
    try:
        number = float(cell)
    except ValueError:
        return cell
    if not isfinite(number) or abs(number) >= 2**53:
        return cell
    return number
