"""Which class an image has, and to which split it belongs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from deeplense_registry import UserError
from deeplense_registry.components import derive_seed

from .layout import SPLITS, class_of
from .options import ArchivesOptions
from .scan import Found, Scan
from .unpickle import unpickle


def classify(found: Scan, own: tuple[str, ...]) -> None:
    """Give images the class of their folder; those in a folder that is no class become problems.

    Where no folder names a class and there is but one folder, the images have no class (``lens_data``).
    """
    single = [image for image in found.images if image.row is None]
    for image in found.images:
        image.label = image.label or class_of(image.folder, own)
    if not any(image.label for image in single) and len({image.folder for image in single}) <= 1 and not own:
        return
    strange = Counter(image.folder for image in single if image.label is None)
    for folder, count in strange.items():
        found.problems.append(
            f"the folder {folder or '.'!r} with {count} images is no known class "
            "(no_sub, cdm, axion, lenses, nonlenses and synonyms); name the class folders by classes = [...]"
            if not own
            else f"the folder {folder or '.'!r} with {count} images is none of classes = {list(own)}"
        )
    found.images = [image for image in found.images if image.row is not None or image.label is not None]


def keep_one_shape(found: Scan) -> None:
    """Images of another shape than the most common one become problems."""
    shapes = Counter(image.shape for image in found.images)
    if len(shapes) < 2:
        return
    right = shapes.most_common(1)[0][0]
    found.problems += [
        f"{image.title} has shape {image.shape}; the others have {right}"
        for image in found.images
        if image.shape != right
    ]
    found.images = [image for image in found.images if image.shape == right]


def divide(found: Scan, options: ArchivesOptions) -> list[str]:
    """Give every image its split; what is worth knowing of it comes back as sentences.

    By the index file if there is one, else by folders, else ``train``; then what the archive lacks is held out.

    Raises:
        UserError: The index file cannot be read, or names images that are not there.
    """
    notes = []
    index = _index(found, options)
    if index is not None:
        notes.append(_by_index(found, *index, options.classes))
    for image in found.images:
        image.split = image.split or "train"
    present = {image.split for image in found.images}
    for split, part in (("test", options.test_fraction), ("val", options.val_fraction)):
        if part and split not in present and "train" in present:
            notes += _hold_out(found.images, split, part, options.seed)
    if "test" not in {image.split for image in found.images}:
        notes.append("There is no test archive and no test split; give test = PATH, or test_fraction.")
    return notes


def _hold_out(images: Iterable[Found], split: str, part: float, seed: int) -> list[str]:
    """Move a part of each class from training to ``split``."""
    rng = np.random.default_rng(derive_seed(seed, "archives", split))
    classes: dict[str, list[Found]] = {}
    for image in images:
        if image.split == "train":
            classes.setdefault(image.label or "", []).append(image)
    moved = 0
    for _, members in sorted(classes.items()):
        chosen = rng.permutation(len(members))[: round(part * len(members))]
        moved += len(chosen)
        for number in chosen:
            members[number].split = split
    word = {"val": "validation", "test": "test"}[split]
    return [f"No official {word} split: {moved} training images are held out, {part:g} of each class, by seed {seed}."]


def _index(found: Scan, options: ArchivesOptions) -> tuple[str, bytes] | None:
    if options.indices is None:
        return found.indices
    try:
        return options.indices, Path(options.indices).read_bytes()
    except OSError as error:
        raise UserError(f"{options.indices}: cannot read the index file ({error}); mend the option indices") from error


def _by_index(found: Scan, name: str, data: bytes, own: tuple[str, ...]) -> str:
    """Keep the images that the index file names, in its splits."""
    wanted = _wanted(name, data, own)
    by_file: dict[str, list[Found]] = {}
    for image in found.images:
        path = PurePosixPath(image.name)
        keys = {image.name, path.name, f"{image.label}/{path.name}"}
        for key in keys:
            by_file.setdefault(key, []).append(image)
    kept: dict[int, Found] = {}
    for split, label, file in wanted:
        matches = by_file.get(f"{label}/{file}" if label else file, [])
        if len(matches) != 1:
            state = "is not in the archive" if not matches else f"names {len(matches)} files of the archive"
            raise UserError(f"{name}: {file!r} of split {split!r} {state}; use the index file of these images")
        if matches[0].split not in (None, split) or id(matches[0]) in kept:
            raise UserError(f"{name}: {file!r} is in two splits; each image belongs to one")
        matches[0].split = split
        kept[id(matches[0])] = matches[0]
    left_out = len(found.images) - len(kept)
    found.images = [image for image in found.images if id(image) in kept]
    return f"Divided by {PurePosixPath(name).name}, which leaves out {left_out} images."


def _wanted(name: str, data: bytes, own: tuple[str, ...]) -> list[tuple[str, str | None, str]]:
    """(split, class, file name) of each image; the class is ``None`` where the index has ``{split: [names]}``."""
    try:
        index = json.loads(data) if name.lower().endswith(".json") else unpickle(data)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    except ValueError as error:
        raise UserError(f"{name} is no JSON ({error})") from error
    if not isinstance(index, Mapping) or not index:
        raise UserError(f"{name} holds no index; {{split: {{class: [file names]}}}} is expected")
    if not all(str(key).lower() in SPLITS for key in index):
        index = {"train": index}
    return [
        (SPLITS[str(split).lower()], label, str(file))
        for split, inner in index.items()
        for label, files in _groups(name, inner, own)
        for file in _names(name, files)
    ]


def _groups(name: str, inner: Any, own: tuple[str, ...]) -> list[tuple[str | None, Any]]:
    if not isinstance(inner, Mapping):
        return [(None, inner)]
    groups: list[tuple[str | None, Any]] = []
    for folder, files in inner.items():
        label = class_of(str(folder), own)
        if label is None:
            raise UserError(f"{name}: {folder!r} is neither a split nor a class")
        groups.append((label, files))
    return groups


def _names(name: str, files: Any) -> list[str]:
    plain = files.tolist() if isinstance(files, np.ndarray) else files
    if not isinstance(plain, list | tuple) or not all(isinstance(file, str) for file in plain):
        raise UserError(f"{name} does not list file names; {{split: {{class: [file names]}}}} is expected")
    return list(plain)
