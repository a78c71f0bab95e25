"""Which images a run was trained on and which labels it had, as files that can be published and used again.

A listing names images of the training split: ``names`` and ``positions`` (both in the order of the shards), ``counts``
per class where there are classes, and a ``fingerprint``: the SHA-256 of the shards' digest and the names. The same
choice gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ..components import UserError
from ..interfaces import Draw
from ..shards import Manifest, ShardSet
from ..shards.atomic import write_json
from .subsample import Index

FORMAT = 1
PRETRAINING = "pretraining.json"


def shards_digest(manifest: Manifest) -> str:
    """SHA-256 of the training images as they lie in their tars, wherever the folder is and whatever made them."""
    shards = [[shard.count, shard.sha256] for shard in manifest.splits["train"]]
    return sha256(json.dumps(shards, separators=(",", ":")).encode()).hexdigest()


def fingerprint(shards: str, names: Sequence[str]) -> str:
    """SHA-256 of the canonical JSON of ``[shards, names]``.

    Args:
        shards: Of :func:`shards_digest`.
        names: The source's own names, in the order of the shards.
    """
    text = json.dumps([shards, list(names)], separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode()).hexdigest()


def write_training_index(folder: Path, shards: ShardSet) -> Path:
    """Write ``folder/pretraining.json``: the training images of ``shards``, which may be a subset.

    Raises:
        UserError: The disk cannot be written.
    """
    images = _Training.of(shards)
    every = np.arange(len(images.names))
    classes = {name: target.classes for name, target in shards.card.targets.items() if target.classes}
    counts = {name: _counts(shards.targets("train", name), known) for name, known in classes.items()}
    content = {"format": FORMAT, "shards": images.digest, "counts": counts, **images.listing(every)}
    return _write(folder / PRETRAINING, content)


def write_label_index(
    folder: Path, target: str, drawn: Iterable[tuple[int | str, Sequence[Draw]]], shards: ShardSet
) -> Path:
    """Write ``folder/labels-TARGET.json``: every draw of every budget.

    Args:
        folder: Where to.
        target: The target's name.
        drawn: Each budget with its draws.
        shards: What the draws refer to, maybe a subset.

    Raises:
        UserError: The disk cannot be written.
    """
    images = _Training.of(shards)
    targets, classes = shards.targets("train", target), shards.card.targets[target].classes
    rows = []
    for budget, draws in drawn:
        for draw in draws:
            counts = {"counts": _counts(targets[draw.index], classes)} if classes else {}
            rows.append({"budget": budget, "number": draw.number, **counts, **images.listing(draw.index)})
    content = {"format": FORMAT, "shards": images.digest, "target": target, "draws": rows}
    return _write(label_index_path(folder, target), content)


def label_index_path(path: Path, target: str) -> Path:
    """The file of a target in a folder of splits; anything but a folder is the file itself."""
    return path if path.suffix == ".json" else path / f"labels-{target}.json"


@frozen(eq=False)
class _Training:
    """The training images of shards: their digest, names and positions."""

    digest: str
    names: NDArray[np.str_]
    positions: Index

    @classmethod
    def of(cls, shards: ShardSet) -> _Training:
        return cls(shards_digest(shards.manifest), shards.names("train"), shards.positions("train"))

    def listing(self, index: Index) -> dict[str, Any]:
        names = self.names[index].tolist()
        marks = {"fingerprint": fingerprint(self.digest, names), "positions": self.positions[index].tolist()}
        return {**marks, "names": names}


def _counts(targets: NDArray[np.int64], classes: Sequence[str]) -> dict[str, int]:
    """Images of each class."""
    return {name: int((targets == k).sum()) for k, name in enumerate(classes)}


def _write(path: Path, content: Mapping[str, Any]) -> Path:
    try:
        write_json(path, content)
    except OSError as error:
        raise UserError(f"{path}: cannot write: {error}; make room and run again") from error
    return path
