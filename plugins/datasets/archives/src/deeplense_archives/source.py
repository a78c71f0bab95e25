"""An archive as a data set."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from math import isfinite, log10
from pathlib import Path

from deeplense_registry import Dataset, DatasetCard, Sample, UserError

from .container import DAMAGE, Container, truncated
from .containers import KINDS, container
from .decode import decode
from .findings import Row, Survey
from .options import ArchivesOptions
from .scan import pixel_digest
from .survey import survey

MODELS = {
    "I": (0.05, "Model I of DeepLenseSim: counts, exposure time included, shot noise twice."),
    "II": (0.101, "Model II of DeepLenseSim (Euclid): twice the noiseless flux, since its noise is never added."),
    "III": (0.08, "Model III of DeepLenseSim (HST): twice the noiseless flux, since its noise is never added."),
    "IV": (0.101, "Model IV of DeepLenseSim: real galaxies as sources, flux over its maximum in each image."),
}
"""Arcseconds per pixel and what the images are. An early copy of Model IV is called Model_VI."""

_MODEL = re.compile(r"model[_ -]?(iii|ii|iv|vi|i)(?![a-z0-9])", re.IGNORECASE)
SINGLE, TRIPLE, PICTURE = ("grey",), ("g", "r", "i"), ("red", "green", "blue")
UNKNOWN_SCALE = 1.0

_open: dict[Path, Container] = {}
"""What this process reads from: kept open from part to part, so that a compressed tar is not unpacked anew for each."""


class Archives(Dataset):
    """A published archive.

    All of it is read once before anything else (:func:`.survey.survey`), so that counts and classes are certain and
    every fault is told at the start. A part then reads its own images alone; a compressed tar is unpacked once more for
    each split and process.
    """

    options: ArchivesOptions

    def card(self) -> DatasetCard:
        """What the images are; warns of images left out and of duplicates in two splits.

        Raises:
            UserError: The archive cannot be used (see :func:`.survey.survey`), or has no names for its bands.
        """
        _close()  # the files may be others since
        found = survey(self.options, fresh=True)
        for warning in found.warnings:
            warnings.warn(warning, stacklevel=2)
        model = _model(found)
        scale = self.options.pixel_scale or (MODELS[model][0] if model else UNKNOWN_SCALE)
        return DatasetCard(
            name=f"archives/{_stem(found.paths[0])}",
            shape=found.image_shape,
            bands=self._bands(found),
            pixel_scale=scale,
            targets=found.targets(),
            splits=found.counts(),
            licence="not stated by its publishers",
            citation="Alexander et al. 2020, ApJ 893, 15 (arXiv:1909.07346)" if model in ("I", "II", "III") else "",
            about="\n".join(self._about(found, model)),
        )

    def samples(self, split: str, part: int, parts: int) -> Iterator[Sample]:
        """Part ``part`` of ``parts`` of a split, in the order of the archive.

        Raises:
            UserError: There is no such split, or the files have changed since they were first read.
        """
        found = survey(self.options)
        if split not in found.splits:
            raise UserError(f"{found.paths[0]}: no split {split!r}; the splits are {', '.join(found.splits)}")
        rows = found.splits[split]
        for row in rows[len(rows) * part // parts : len(rows) * (part + 1) // parts]:
            yield _sample(row, found)
        if part == parts - 1:
            _close()

    def _bands(self, found: Survey) -> tuple[str, ...]:
        channels = found.image_shape.channels
        if self.options.bands:
            if len(self.options.bands) != channels:
                raise UserError(f"{found.paths[0]}: {len(self.options.bands)} bands named, the images have {channels}")
            return self.options.bands
        known = {1: SINGLE, 3: PICTURE if found.pictures else TRIPLE}
        if channels not in known:
            raise UserError(f"{found.paths[0]}: the images have {channels} bands; name them by bands = [...]")
        return known[channels]

    def _about(self, found: Survey, model: str | None) -> Iterator[str]:
        yield f"Read from {' and '.join(path.name for path in found.paths)}, pixels as they are there, in float32."
        if model:
            yield MODELS[model][1]
        elif self.options.pixel_scale is None:
            yield "The pixel scale is not known, and 1 stands for it: angles are in pixels. Give pixel_scale."
        yield from found.notes


def _sample(row: Row, found: Survey) -> Sample:
    path = found.paths[row.container]
    try:
        decoded = decode(row.form, _opened(path).read(row.name, row.start, row.size))
    except DAMAGE as error:
        raise truncated(path, error) from error
    except (UserError, OSError, KeyError) as error:
        raise UserError(f"{path}: {row.title} cannot be read any more ({error}); run it again") from error
    if pixel_digest(decoded.image) != row.digest:
        raise UserError(f"{path}: {row.title} has changed while the archive was read; run it again")
    meta: dict[str, float | int | str] = {"folder": row.folder} if row.folder else {}
    if row.mass is not None and isfinite(row.mass) and row.label is not None:
        meta["axion_mass" if row.label == "axion" else "mass"] = row.mass
    return Sample(name=row.title, image=decoded.image, targets=_targets(row, found), meta=meta)


def _targets(row: Row, found: Survey) -> dict[str, int | float]:
    targets: dict[str, int | float] = {}
    if row.label is not None:
        targets["class"] = found.classes.index(row.label)
    if row.mass is not None and isfinite(row.mass):
        if row.label == "axion":
            targets["log10_axion_mass"] = log10(row.mass)
        elif row.label is None:
            targets["mass"] = row.mass
    if row.value is not None and isfinite(row.value):
        targets["label"] = row.value
    return targets


def _opened(path: Path) -> Container:
    if path not in _open:
        _open[path] = container(path)
    return _open[path]


def _close() -> None:
    while _open:
        _open.popitem()[1].close()


def _model(found: Survey) -> str | None:
    """Which of the four models, as the archive's name or its top folder says."""
    names = [_stem(found.paths[0]), *(rows[0].name.split("/")[0] for rows in found.splits.values())]
    match = next((match for name in names if (match := _MODEL.fullmatch(name.removesuffix("_test")))), None)
    return None if match is None else {"VI": "IV"}.get(match[1].upper(), match[1].upper())


def _stem(path: Path) -> str:
    return next((path.name[: -len(kind)] for kind in KINDS if path.name.lower().endswith(kind)), path.name)
