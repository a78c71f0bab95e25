"""Where shards are kept that the user gave no folder for."""

from __future__ import annotations

import os
import re
from pathlib import Path


def cache_root() -> Path:
    """``$DEEPLENSE_CACHE``, else ``$XDG_CACHE_HOME/deeplense``, else ``~/.cache/deeplense``."""
    if own := os.environ.get("DEEPLENSE_CACHE"):
        return Path(own).expanduser()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "deeplense"
    return Path.home() / ".cache" / "deeplense"


def shards_folder(digest: str, name: str) -> Path:
    """The folder of the shards made from the source that ``digest`` names; ``name`` is for human eyes."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "-", name)
    return cache_root() / "shards" / f"{safe}-{digest[:16]}"
