"""The manifest of a folder of shards. It is published last: where it is, the shards are whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, Literal

import cattrs
from attrs import asdict, field, frozen, validators
from cattrs.errors import BaseValidationError

from ..components import DatasetCard, UserError
from .atomic import write_json

FORMAT = 1
"""The version of the layout of shards, indices and manifest."""

FILE = "manifest.json"

DType = Literal["float32", "float16"]

_bare = validators.matches_re(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # never a path out of the folder


@frozen(kw_only=True)
class Shard:
    """A tar and its index, in the manifest's folder.

    Attributes:
        file: The name of the tar.
        count: Samples in it.
        bytes: Its size.
        sha256: Of the tar, hexadecimal.
        index: The name of the index.
        index_sha256: Of the index, hexadecimal.
    """

    file: str = field(validator=_bare)
    count: int = field(validator=validators.ge(0))
    bytes: int = field(validator=validators.ge(0))
    sha256: str
    index: str = field(validator=_bare)
    index_sha256: str


@frozen(kw_only=True)
class Statistics:
    """Pixels of one split, per band, in float64, over all images and partners.

    Attributes:
        split: "train", or the card's first split where it has no "train".
        mean, std: Mean and standard deviation (of the population); finite, ``std`` positive.
        min, max: The smallest and the largest pixel.
    """

    split: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    min: tuple[float, ...]
    max: tuple[float, ...]


@frozen(kw_only=True)
class Manifest:
    """What a folder of shards holds.

    Attributes:
        format: :data:`FORMAT` of the writer.
        digest: Of the source's options; names the input that these bytes were made from.
        card: The data set's card; every split's count is known.
        dtype: "float32" or "float16", of the images on disk.
        image_shape: Of one sample: (C, H, W), or (P, C, H, W) with partners.
        splits: The shards of each split, in order.
        statistics: Of the training pixels as stored.
    """

    format: int = FORMAT
    digest: str
    card: DatasetCard
    dtype: DType
    image_shape: tuple[int, ...]
    splits: Mapping[str, tuple[Shard, ...]]
    statistics: Statistics

    @property
    def image_bytes(self) -> int:
        """Bytes of one image's pixels on disk."""
        return prod(self.image_shape) * (4 if self.dtype == "float32" else 2)

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The shards of all splits, in order."""
        return tuple(shard for shards in self.splits.values() for shard in shards)

    def as_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists, numbers and strings."""
        return asdict(self)

    def publish(self, folder: Path) -> None:
        """Write it to ``folder``, whole or not at all.

        Raises:
            UserError: The disk cannot be written.
        """
        try:
            write_json(folder / FILE, self.as_json())
        except OSError as error:
            raise UserError(f"{folder / FILE}: cannot write: {error}; make room and run it again") from error


def read_manifest(folder: Path) -> Manifest:
    """The manifest of ``folder``.

    Raises:
        UserError: There is none, the build was interrupted, it is damaged, or another version wrote it.
    """
    path = folder / FILE
    if not path.is_file():
        raise UserError(_absent(folder))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}; copy the shards anew") from error
    return parse_manifest(data, str(path))


def parse_manifest(data: bytes, path: str) -> Manifest:
    """The manifest that ``data`` holds; ``path`` is where it came from.

    Raises:
        UserError: It is damaged, or another version wrote it.
    """
    try:
        value = json.loads(data)
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}; build the shards again or copy them anew") from error
    if not isinstance(value, dict) or "format" not in value:
        raise UserError(f"{path} is no manifest of shards; give a folder that `deeplense shards build` wrote")
    if value["format"] != FORMAT:
        raise UserError(f"{path} has format {value['format']!r}, this version reads {FORMAT}; build the shards again")
    try:
        return _CONVERTER.structure(value, Manifest)
    except BaseValidationError as error:
        reason = cattrs.transform_error(error)[0]
        raise UserError(f"{path} is damaged: {reason}; build the shards again or copy them anew") from error


def _absent(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder} is no folder; give the folder that `deeplense shards build` wrote"
    if any(folder.glob("*.tar")) or any(folder.glob(".*.part")):
        return f"{folder} has shards but no {FILE}: a build was interrupted (or still runs); run it again to finish"
    return f"{folder} has no {FILE}; give a folder that `deeplense shards build` wrote"


_CONVERTER = cattrs.Converter(forbid_extra_keys=True)
