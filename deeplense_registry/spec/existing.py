"""The one data set that is built into the core: shards that exist."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
from attrs import frozen, validators

from ..components.files import contents_fingerprint
from ..components.options import option

_FETCHED = ("http", "https", "s3", "gs", "gcs", "hf", "file")
_COMMANDS = ("pipe", "exec", "shell", "cmd", "ssh")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):(//)?", re.IGNORECASE)


def _data(_: object, __: object, value: str) -> None:
    """A folder, or a URL that is fetched; never a command, also not behind ``::`` (fsspec chains those)."""
    if not value:
        raise ValueError("'path' is empty; give the folder or URL of shards")
    for link in value.split("::"):
        scheme = _SCHEME.match(link.strip())
        if scheme is None or (scheme[2] and scheme[1].lower() in _FETCHED):
            continue
        command = scheme[1].lower() in _COMMANDS
        what = "is a command, not data" if command else f'has the unsupported scheme "{scheme[1]}:"'
        raise ValueError(f'"{value}" {what}; give the folder or URL of shards')


@frozen
class ShardsOptions:
    """``[dataset.NAME] use = "shards"``: shards that exist, built into the core."""

    path: str = option(
        f"Folder of shards, tars or a pattern of them ({{000..009}}), or a URL of either ({', '.join(_FETCHED)}).",
        attrs.NOTHING,
        _data,
    )
    pixel_scale: float | None = option(
        "Arcseconds per pixel, for WebDataset tars that have no manifest (and only for those).",
        None,
        validators.optional(validators.gt(0.0)),
    )
    bands: tuple[str, ...] = option(
        "Names of the bands, for tars that have no manifest; by default channel-1 and so on.", ()
    )
    classes: tuple[str, ...] = option(
        "Names of the classes in their order, for tars that have no manifest; by default sorted, or their numbers.", ()
    )

    def fingerprint(self) -> str:
        """Changes with the manifest of a folder that has one; empty for what is fetched or not ours."""
        manifest = Path(self.path) / "manifest.json"
        return contents_fingerprint([manifest]) if manifest.is_file() else ""
