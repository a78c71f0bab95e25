"""What the names of folders and files say: class, split, and which file labels which stack."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from attrs import frozen

SYNONYMS = {
    **dict.fromkeys(("no", "no_sub", "no_substructure"), "no_sub"),
    **dict.fromkeys(("sphere", "cdm", "sub"), "cdm"),
    **dict.fromkeys(("vort", "vortex", "axion"), "axion"),
    **dict.fromkeys(("lens", "lenses"), "lenses"),
    **dict.fromkeys(("nonlens", "nonlenses", "non_lenses"), "nonlenses"),
}
"""Published names of class folders to the name of the class; labels follow the alphabet."""

SPLITS = {
    "train": "train",
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    "test": "test",
}

_SPLIT = "|".join(SPLITS)
_BEHIND = re.compile(rf".+[_-]({_SPLIT})")
_BEFORE = re.compile(rf"({_SPLIT})[_-](.+)")
_IMAGES = {"x", "image", "images", "img", "imgs", "data"}
_LABELS = {"y", "label", "labels", "target", "targets"}


@frozen
class Place:
    """Where a file lies.

    Attributes:
        split: ``"train"``, ``"val"`` or ``"test"``, if a folder says so.
        folder: The folder it lies in, in lower case, without the split's name; empty where it says nothing of a class.
    """

    split: str | None
    folder: str


def place(name: str, own: tuple[str, ...]) -> Place:
    """What the folders of ``name`` say; ``own`` are class folders of the user's.

    Published: ``<root>/{train,val}/<class>``, ``<root>/<class>`` with ``<root>_test/<class>``, ``train_lenses``.
    """
    folders = [part.lower() for part in PurePosixPath(name).parts[:-1]]
    inner = folders[-1] if folders else ""
    before = _BEFORE.fullmatch(inner)
    if before and class_of(before[2], own):
        return Place(SPLITS[before[1]], before[2])
    split = next((found for part in reversed(folders) if (found := _split_of(part))), None)
    return Place(split, "" if inner in SPLITS else inner)


def class_of(folder: str, own: tuple[str, ...]) -> str | None:
    """The class of a folder, or ``None`` where it is none."""
    if own:
        return next((name for name in own if name.lower() == folder.lower()), None)
    return SYNONYMS.get(folder.lower())


def stack_split(name: str) -> str | None:
    """The split that the name of a stack's file says: ``X_train.npy``."""
    return next((SPLITS[word] for word in _words(name) if word in SPLITS), None)


def labels_key(name: str) -> str | None:
    """What a file of labels shares with its stack (``y_train.npy``: folder and ``train``); ``None`` of other files."""
    words = _words(name)
    return None if _LABELS.isdisjoint(words) else _key(name, words - _LABELS)


def stack_key(name: str) -> str:
    """The same of a stack."""
    return _key(name, _words(name) - _IMAGES)


def _split_of(folder: str) -> str | None:
    behind = _BEHIND.fullmatch(folder)
    return SPLITS.get(behind[1] if behind else folder)


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", PurePosixPath(name).stem.lower()))


def _key(name: str, words: set[str]) -> str:
    return "/".join((str(PurePosixPath(name).parent), *sorted(words)))
