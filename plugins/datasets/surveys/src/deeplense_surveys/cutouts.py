"""FITS cut-outs: a file for each image and band, or for each image."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from astropy.wcs.utils import proj_plane_pixel_scales
from numpy.typing import NDArray

from deeplense_registry import UserError

from .catalogue import Catalogue, text
from .images import Absent, Picture
from .signature import unreadable


class Cutouts:
    """The cut-outs below a folder; one image is in memory at a time.

    Attributes:
        bands: Names of the channels.
        channels: Their numbers.
        catalogue: A row for each image.
    """

    def __init__(self, folder: Path, pattern: str, bands: tuple[str, ...], catalogue: Catalogue, ids: Sequence[str]):
        """Find out how files are named; none is opened.

        Raises:
            UserError: The bands are not named, or the pattern names a column that is not there.
        """
        if not bands:
            raise UserError(f'{folder}: which bands do the cut-outs have? Write them: bands = ["g", "r", "i"]')
        self.folder, self.pattern, self.bands, self.catalogue, self.ids = folder, pattern, bands, catalogue, ids
        self.channels = tuple(range(len(bands)))
        fields = _fields(pattern)
        self._each_band = "band" in fields
        self._columns = {name: catalogue.column(name, "in files").tolist() for name in sorted(fields - {"id", "band"})}

    def files(self, row: int) -> tuple[Path, ...]:
        """The files of a row: one for each band in order, or one in all."""
        cells = {name: _cell(column[row]) for name, column in self._columns.items()}
        bands = self.bands if self._each_band else ("",)
        return tuple(self.folder / self._name(row, {**cells, "band": band}) for band in bands)

    def read(self, rows: Sequence[int], *, noise: bool = True) -> Iterator[Picture | Absent]:
        """The images of ``rows`` in this order; a header says nothing of ``noise``.

        Raises:
            UserError: A file is no FITS image, damaged, or of another shape than the image's other bands.
        """
        for row in rows:
            files = self.files(row)
            absent = next((file for file in files if not file.is_file()), None)
            yield Absent(row, str(absent)) if absent else self._picture(row, files)

    def _picture(self, row: int, files: tuple[Path, ...]) -> Picture:
        planes: list[NDArray[np.float32]] = []
        header = None
        for file in files:
            data, own = read_image(file)
            self._check(file, data, len(self.bands) // len(files), planes)
            planes.append(data)
            header = own if header is None else header
        assert header is not None
        return Picture(
            row=row,
            file=str(files[0].relative_to(self.folder)),
            pixels=np.concatenate(planes),
            pixel_scale=header_pixel_scale(header),
            unit=str(header.get("BUNIT", "")),
        )

    def _check(self, file: Path, data: NDArray[np.float32], planes: int, others: Sequence[NDArray[np.float32]]) -> None:
        if len(data) != planes:
            bands = ", ".join(self.bands)
            raise UserError(
                f"{file} holds {len(data)} planes instead of {planes}; bands ({bands}) must name the planes of a file "
                "without {band} in its name, and a file with {band} holds one"
            )
        if others and others[0].shape[1:] != data.shape[1:]:
            first, here = (" x ".join(map(str, one.shape[1:])) for one in (others[0], data))
            raise UserError(f"{file} has {here} pixels, band {self.bands[0]} {first}; cut all bands to one grid")

    def _name(self, row: int, cells: dict[str, Any]) -> str:
        try:
            return self.pattern.format(**cells, id=_cell(self.ids[row]))
        except ValueError as error:
            raise UserError(f'files = "{self.pattern}" does not suit row {row + 1}: {error}; mend it') from error


def read_image(path: Path) -> tuple[NDArray[np.float32], Any]:
    """The first image of a FITS file, (C, H, W) float32, scaled by BSCALE and BZERO, and its header.

    Raises:
        UserError: The file is no FITS file, damaged, or has no image.
    """
    try:
        with fits.open(path, memmap=False) as hdus:
            for hdu in hdus:
                if hdu.is_image and hdu.data is not None and hdu.data.ndim > 1:
                    with np.errstate(over="ignore"):  # infinity is found where images are judged
                        data = np.asarray(hdu.data, np.float32)
                    return data.reshape(-1, *data.shape[-2:]), hdu.header
    except (OSError, ValueError, TypeError, KeyError) as error:  # astropy raises any of these for a damaged file
        raise unreadable(path, "FITS", error) from error
    raise UserError(f"{path} holds no image; give files whose first image is the cut-out")


def header_pixel_scale(header: Any) -> float | None:
    """Arcsec per pixel, the geometric mean of both axes; ``None`` without celestial coordinates."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)  # obsolete keywords, of no concern to the scale
        wcs = WCS(header)
    if not wcs.has_celestial:
        return None
    scales = proj_plane_pixel_scales(wcs.celestial)  # degrees
    return float(np.sqrt(scales[0] * scales[1]) * 3600)


def _fields(pattern: str) -> set[str]:
    try:
        fields = {name for _, name, _, _ in Formatter().parse(pattern) if name is not None}
    except ValueError as error:
        raise UserError(f'files = "{pattern}": {error}; mend the braces') from error
    if wrong := sorted(name for name in fields if not name.isidentifier()):
        raise UserError(
            f'files = "{pattern}": {{{wrong[0]}}} is no name of a column; write {{id}}, {{band}} or {{NAME}}'
        )
    return fields


def _cell(value: Any) -> Any:
    """A whole number as such, so that {id:06d} works; all else as text."""
    if isinstance(value, int):
        return value
    plain = text(value) or ""
    return int(plain) if plain.isdecimal() and (plain == "0" or not plain.startswith("0")) else plain
