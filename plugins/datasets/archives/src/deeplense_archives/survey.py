"""What an archive holds, found by one pass over it and remembered: later readers know where each image lies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

from attrs import asdict

from deeplense_registry import UserError
from deeplense_registry.shards import cache_root
from deeplense_registry.shards.atomic import write_bytes

from .container import Container
from .containers import KINDS, container
from .dividing import classify, divide, keep_one_shape
from .findings import Row, Survey, dump, load
from .joining import join_labels
from .options import ArchivesOptions
from .scan import Found, Scan, scan

FORMAT = 1
SHOWN = 5
"""Problems that a message spells out."""

SPLIT_ORDER = ("train", "val", "test")


_latest: dict[ArchivesOptions, Survey] = {}  # one process reads many parts of one archive


def survey(options: ArchivesOptions, *, fresh: bool = False) -> Survey:
    """What the archive holds: from memory, from disk, or by reading all of it once.

    Args:
        options: Which archive.
        fresh: Whether to look if its files have changed since this process read them last.

    Raises:
        UserError: It cannot be read, has no images, or (with ``broken = "stop"``) has images that cannot be used.
    """
    if fresh or options not in _latest:
        _latest.clear()
        _latest[options] = remembered(options) or _surveyed(options)
    return _latest[options]


def remembered(options: ArchivesOptions) -> Survey | None:
    """What an earlier process found in the same files, if any.

    Raises:
        UserError: There is no such file.
    """
    file = _file(options, _containers(options))
    return load(json.loads(file.read_bytes())) if file.is_file() else None


def _surveyed(options: ArchivesOptions) -> Survey:
    containers = _containers(options)
    file = _file(options, containers)
    found = Scan()
    for number, one in enumerate(containers):
        try:
            before = len(found.images)
            scan(one, number, options.classes, found)
        finally:
            one.close()
        _split_test(found.images[:before], found.images[before:], number, containers)
    result = _judged(found, options, containers)
    try:
        write_bytes(file, json.dumps(dump(result)).encode())
    except OSError as error:
        raise UserError(f"{file}: cannot write ({error}); set DEEPLENSE_CACHE to a folder with room") from error
    return result


def sources(options: ArchivesOptions) -> list[Path]:
    """The archive, and the one of its test images where there is one."""
    path = Path(options.path)
    test = Path(options.test) if options.test else _beside(path)
    return [path, *([test] if test else [])]


def _containers(options: ArchivesOptions) -> list[Container]:
    return [container(path) for path in sources(options)]


def _beside(path: Path) -> Path | None:
    """``Model_I_test.tgz`` of ``Model_I.tgz``, as an archive of any kind or a folder."""
    stem = next((path.name[: -len(kind)] for kind in KINDS if path.name.lower().endswith(kind)), path.name)
    candidates = (path.with_name(f"{stem}_test{kind}") for kind in ("", *KINDS))
    return next((one for one in candidates if one.exists()), None)


def _split_test(earlier: list[Found], images: list[Found], number: int, containers: list[Container]) -> None:
    if number == 0:
        return
    if any(image.split == "test" for image in earlier):
        first, second = (one.path for one in containers)
        raise UserError(f"{first} has test images of its own; drop test = {str(second)!r}, or move {second.name} away")
    for image in images:
        image.split = "test"


def _judged(found: Scan, options: ArchivesOptions, containers: list[Container]) -> Survey:
    path = containers[0].path
    join_labels(found, options.classes)
    classify(found, options.classes)
    _check_masses(found)
    keep_one_shape(found)
    warnings = _problems(found, options, path)
    if not found.images:
        raise UserError(_nothing(path, found))
    notes = divide(found, options)
    splits = {
        split: tuple(Row.of(image) for image in found.images if image.split == split)
        for split in SPLIT_ORDER
        if any(image.split == split for image in found.images)
    }
    warnings += _duplicates(splits, path)
    rounded = sum(image.rounded for image in found.images)
    if rounded:
        notes.append(f"{rounded} images have whole numbers beyond 2^24, which float32 rounds.")
    channels, height, width = found.images[0].shape
    return Survey(
        paths=tuple(one.path for one in containers),
        shape=(channels, height, width),
        classes=_label_order({image.label for image in found.images if image.label}, options.classes),
        splits=splits,
        notes=tuple(notes),
        warnings=tuple(warnings),
        pictures=found.images[0].form.kind == "picture",
    )


def _label_order(present: set[str], own: tuple[str, ...]) -> tuple[str, ...]:
    """The user's order, or the alphabet, in which everybody labels the published classes; numbers by size."""
    if own:
        return own if present else ()
    return tuple(sorted(present, key=lambda name: (int(name), "") if name.isdecimal() else (0, name)))


def _check_masses(found: Scan) -> None:
    """An axion mass that has no logarithm becomes a problem."""
    wrong = [
        image for image in found.images if image.label == "axion" and image.mass is not None and not image.mass > 0
    ]
    found.problems += [f"{image.title} has the axion mass {image.mass:g} eV; it must be positive" for image in wrong]
    found.images = [image for image in found.images if image not in wrong]


def _problems(found: Scan, options: ArchivesOptions, path: Path) -> list[str]:
    """Nothing, a warning, or the end, as ``broken`` says."""
    if not found.problems:
        return []
    count = len(found.problems)
    listed = "\n".join(f"  {problem}" for problem in found.problems[:SHOWN])
    more = f"\n  and {count - SHOWN} more" if count > SHOWN else ""
    if options.broken == "stop":
        remedy = 'mend or remove them, or leave them out with broken = "skip"'
        raise UserError(f"{path}: {count} found that cannot be used; {remedy}:\n{listed}{more}")
    return [f"{path}: {count} found that cannot be used and left out:\n{listed}{more}"]


def _nothing(path: Path, found: Scan) -> str:
    inner = next((name for name in found.others if name.lower().endswith(KINDS)), None)
    hint = f"it holds {inner}: give that as the path" if inner else "give the folder or archive that holds the images"
    return f"{path}: no images (.npy, .jpg, .png) that can be used; {hint}"


def _duplicates(splits: Mapping[str, tuple[Row, ...]], path: Path) -> list[str]:
    """A warning for each pair of splits that share images."""
    first = {split: {row.digest: row.title for row in reversed(rows)} for split, rows in splits.items()}
    names = list(splits)
    return [
        f"{path}: {count} images of split {b!r} are also in split {a!r}, pixel by pixel; the first: {pair}"
        for number, a in enumerate(names)
        for b in names[number + 1 :]
        for shared in [[row for row in splits[b] if row.digest in first[a]]]
        for count in [len(shared)]
        if shared
        for pair in [f"{shared[0].title} = {first[a][shared[0].digest]}"]
    ]


def _file(options: ArchivesOptions, containers: list[Container]) -> Path:
    """Where the survey of these options and files is kept."""
    extra = [options.indices, *map(str, _stat(options.indices))] if options.indices else []
    stamps = [stamp for one in containers for stamp in (str(one.path), *one.stamp())]
    text = json.dumps([FORMAT, asdict(options), extra, stamps])
    return cache_root() / "archives" / f"{blake2b(text.encode(), digest_size=16).hexdigest()}.json"


def _stat(path: str) -> tuple[int, int]:
    file = Path(path)
    return (file.stat().st_size, file.stat().st_mtime_ns) if file.is_file() else (0, 0)
