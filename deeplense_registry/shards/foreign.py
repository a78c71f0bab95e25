"""Samples of foreign tars: their images, and targets from ``.json`` and ``.cls`` members."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

from attrs import frozen

from ..components import DatasetCard, Target, UserError
from ..interfaces import Dataset, Sample
from .decode import decode_member
from .picture import image_ending, read_image
from .tars import Entry, Tar, entries

if TYPE_CHECKING:
    from .survey import Survey

VALUES = ("targets.json", "json", "cls", "meta.json")
"""Members that are read beside the image."""


def sample(tar: Tar, entry: Entry, view: memoryview, targets: Mapping[str, Target]) -> Sample:
    """A sample as the core knows it; ``view`` is :func:`mapped`.

    Raises:
        UserError: Its image is damaged.
    """
    where = f"{tar.path}: {entry.key}"
    ending = image_ending(entry.members, where)
    values, meta = known_values(tar, entry, view)
    told: dict[str, int | float] = {}
    for name, value in values.items():
        if name not in targets:
            meta[name] = value
        elif isinstance(value, str):
            told[name] = targets[name].classes.index(value)
        else:
            told[name] = value
    image = read_image(f"{where}.{ending}", member_bytes(view, entry, ending))
    return Sample(name=f"{tar.name}/{entry.key}", image=image, targets=told, meta=meta)


def mapped(tar: Tar) -> memoryview:
    """The bytes of the tar, in the page cache."""
    with tar.path.open("rb") as stream:
        return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))


def member_bytes(view: memoryview, entry: Entry, ending: str) -> memoryview:
    """The bytes of a sample's member; ``view`` is :func:`mapped`."""
    start, size = entry.members[ending]
    return view[start : start + size]


@frozen
class TarSource:
    """Opens foreign tars as a source, in whatever process it is called."""

    survey: Survey

    def __call__(self) -> Dataset:
        """The open source."""
        return TarDataset(self.survey)


class TarDataset(Dataset):
    """Foreign tars; ``options`` is their :class:`Survey`."""

    def card(self) -> DatasetCard:
        """As surveyed."""
        card: DatasetCard = self.options.card
        return card

    def samples(self, split: str, part: int, parts: int) -> Iterator[Sample]:
        """In the order of tars and of samples in them; members are read by offset, so that parts cost no more."""
        card = self.card()
        count, before = card.splits[split] or 0, 0
        low, high = count * part // parts, count * (part + 1) // parts
        for tar in (one for one in self.options.counts if one.split == split):
            first, last = max(low - before, 0), max(high - before, 0)
            before += self.options.counts[tar]
            if first < last and low < before:
                view = mapped(tar)
                for entry in entries(tar)[first:last]:
                    yield sample(tar, entry, view, card.targets)


def known_values(tar: Tar, entry: Entry, view: memoryview) -> tuple[dict[str, Any], dict[str, Any]]:
    """Numbers and texts: of the members for targets, and of that for meta; what is null, NaN or nested is absent.

    Raises:
        UserError: A member is damaged, or no object.
    """
    values = {**_object(tar, entry, view, "targets.json"), **_object(tar, entry, view, "json")}
    if "cls" in entry.members:
        text = bytes(member_bytes(view, entry, "cls")).decode("utf-8", "replace").strip()
        values["class"] = int(text) if text.isascii() and text.isdigit() else text
    meta = _object(tar, entry, view, "meta.json")
    if "name" in meta:  # kept for the sample's place here
        meta["given_name"] = meta.pop("name")
    return values, meta


def _object(tar: Tar, entry: Entry, view: memoryview, ending: str) -> dict[str, Any]:
    if ending not in entry.members:
        return {}
    value = decode_member(f"{tar.path}: {entry.key}.{ending}", member_bytes(view, entry, ending))
    if not isinstance(value, dict):
        raise UserError(f"{tar.path}: {entry.key}.{ending} holds no object of names and values; write one, or none")
    return {name: int(one) if isinstance(one, bool) else one for name, one in value.items() if _is_plain(one)}


def _is_plain(value: Any) -> bool:
    return isinstance(value, int | str) or (isinstance(value, float) and isfinite(value))
