"""Survey images as a data set."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from deeplense_registry import Dataset, DatasetCard, Sample, UserError

from .catalogue import read_catalogue
from .census import take
from .cutouts import Cutouts
from .images import Absent, LeftOut, Picture, crop, fault
from .known import Known, read_ids
from .layout import find_layout
from .options import SurveysOptions
from .splits import Rows, find_splits
from .stacks import Stacks
from .targets import read_target


class SurveyImages(Dataset):
    """FITS cut-outs or HDF5 stacks.

    :meth:`card` looks through all images, to tell which cannot be used and to count the others; :meth:`samples` leaves
    the same ones out by the same rule, which looks at one image at a time: parts need not know of each other.
    """

    options: SurveysOptions

    def __init__(self, options: SurveysOptions) -> None:
        """Read the catalogue.

        Raises:
            UserError: A file or column is not there, or not as the options say.
        """
        super().__init__(options)
        self._layout = find_layout(options)
        self._images, self._ids = self._open()
        catalogue = self._images.catalogue
        self._splits = find_splits(options, catalogue, self._ids)
        self._targets = {name: read_target(name, one, catalogue) for name, one in options.targets.items()}
        self._known = Known(catalogue, options, self._images.bands, self._images.channels)

    def card(self) -> DatasetCard:
        """What the images are. Every image is read; those that cannot be used are told by a ``UserWarning``.

        Raises:
            UserError: An image has another shape than the others or no pixel scale, a file is missing or damaged, or
                a split has no image left.
        """
        rows = np.sort(np.concatenate(list(self._splits.values())))
        census = take(self._judged(rows, noise=False), self._splits, self._ids, self._known.scale)
        if census.report:
            warnings.warn(f"{self.options.path}: {census.report}", stacklevel=2)
        low, median, high = census.scales
        spread = f"Pixel scales vary from {low:.4g} to {high:.4g} arcsec." if high > low * 1.001 else ""
        report = f"{census.report}." if census.report else ""
        return DatasetCard(
            name=f"surveys/{Path(self.options.path).expanduser().resolve().name}",
            shape=census.shape,
            bands=self._images.bands,
            pixel_scale=median,
            targets={name: labels.target for name, labels in self._targets.items()},
            splits=census.counts,
            about=" ".join(text for text in (self._layout.why, self._known.about, spread, report) if text),
        )

    def samples(self, split: str, part: int, parts: int) -> Iterator[Sample]:
        """Part ``part`` of ``parts`` of a split, in the order of the catalogue, without the images left out.

        Raises:
            UserError: There is no such split, or a file is missing or damaged.
        """
        if split not in self._splits:
            raise UserError(f"surveys: there is no split {split!r}; the splits are {', '.join(self._splits)}")
        rows = self._splits[split]
        begin, end = (len(rows) * number // parts for number in (part, part + 1))
        for picture in self._judged(rows[begin:end], noise=True):
            if isinstance(picture, Picture):
                yield self._sample(picture)

    def _open(self) -> tuple[Cutouts | Stacks, list[str]]:
        options, layout = self.options, self._layout
        if layout.name != "fits":
            stacks = Stacks(layout.folder, layout.files, layout.name, options.bands)
            return stacks, read_ids(stacks.catalogue, options.id)
        catalogue = read_catalogue(Path(str(options.catalogue)).expanduser())
        ids = read_ids(catalogue, options.id, needed="{id" in options.files)
        return Cutouts(layout.folder, options.files, options.bands, catalogue, ids), ids

    def _judged(self, rows: Rows, *, noise: bool) -> Iterator[Picture | LeftOut]:
        """The images of ``rows``, cut to size, and why the others are left out."""
        for image in self._images.read(rows.tolist(), noise=noise):
            if isinstance(image, Absent):
                yield self._absent(image)
                continue
            picture = crop(image, self.options.size)
            reason = fault(picture.pixels, self._images.bands)
            yield LeftOut(picture.row, reason) if reason else picture

    def _absent(self, absent: Absent) -> LeftOut:
        if self.options.missing_files == "skip":
            return LeftOut(absent.row, "without their file")
        where = f"{self._images.catalogue.where}: row {absent.row + 1} (id {self._ids[absent.row]})"
        raise UserError(
            f"{where} has no image: {absent.file} is missing; put it there, mend 'files', or set "
            'missing_files = "skip"'
        )

    def _sample(self, picture: Picture) -> Sample:
        name = self._ids[picture.row]
        targets = {target: labels.of(picture.row) for target, labels in self._targets.items()}
        return Sample(
            name=name,
            image=picture.pixels,
            targets={target: value for target, value in targets.items() if value is not None},
            meta=self._known.meta(picture, name),
        )
