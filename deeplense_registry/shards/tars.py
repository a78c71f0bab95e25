"""WebDataset tars that others wrote: which there are, of which split, and where their members lie."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from glob import glob
from pathlib import Path

from attrs import frozen

from ..components import UserError
from .ustar import BLOCK

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""What a folder, or the beginning of a file's name, says of the split."""

PICKLES = ("pyd", "pickle", "pkl", "pt", "pth", "joblib", "dill")
"""Kinds of members that run code when they are loaded."""

_NAMED = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)")  # webdataset's: the key ends at the first dot of the last part
_RESERVED = re.compile(r"__[^/]*__($|/)")  # webdataset skips these


@frozen
class Tar:
    """A tar as it lay on disk when it was found.

    Attributes:
        path: Absolute.
        name: Where in the data set it is, without its ending.
        split: "train", "val" or "test".
        size, mtime_ns: Tell it from a changed one.
    """

    path: Path
    name: str
    split: str
    size: int
    mtime_ns: int


@frozen
class Entry:
    """A sample in a tar: its key, and by ending ("image.npy") where each member's bytes begin and how many they are."""

    key: str
    members: Mapping[str, tuple[int, int]]


def find_tars(location: str) -> tuple[Tar, ...]:
    """The tars of a folder and its subfolders, or of a pattern such as ``train-{000..009}.tar``, in order of splits.

    The split is the name of a subfolder or the beginning of the file's name ("val/0.tar", "val-0.tar"); where no tar
    names one, all are "train".

    Raises:
        UserError: There are none, one that a pattern names is absent, or only some name a split.
    """
    folder = Path(location).expanduser().absolute()
    if folder.is_dir():
        return tars_at(_within(folder), location, folder)
    return tars_at(_matching(str(folder)), location)


def tars_at(paths: Iterable[Path], location: str, root: Path | None = None) -> tuple[Tar, ...]:
    """As :func:`find_tars`, of the tars at ``paths``, absolute, which ``location`` names.

    ``root`` is the folder whose subfolders may say the split; by default the one that all of them lie in.
    """
    found = sorted(paths)
    if not found:
        raise UserError(f"{location} has no tars; give their folder, or a pattern such as train-{{000..009}}.tar")
    root = root or Path(os.path.commonpath([path.parent for path in found]))
    splits = [_split(path.relative_to(root)) for path in found]
    if any(splits) and not all(splits):
        lost = found[splits.index(None)]
        raise UserError(f"{lost}: of which split? Others say; call it train-..., val-... or test-..., or move it")
    tars = (_tar(path, root, split or "train") for path, split in zip(found, splits, strict=True))
    return tuple(sorted(tars, key=lambda tar: (list(SPLITS.values()).index(tar.split), tar.path)))


def expanded(pattern: str) -> list[str]:
    """The names that a pattern with braces stands for, as webdataset writes it.

    Raises:
        UserError: Its braces are wrong.
    """
    from braceexpand import braceexpand  # here, since few specs need it

    try:
        return list(braceexpand(pattern))
    except ValueError as error:
        raise UserError(f'"{pattern}": {error}; write braces as in a-{{000..009}}.tar') from error


def check_tar(path: Path, where: str) -> None:
    """Walk through the headers of a tar, which ``where`` names.

    Raises:
        UserError: It is no tar, or a damaged one.
    """
    for _ in _headers(path, where):
        pass


@lru_cache(maxsize=2)  # the parts of a split that lie in one tar follow each other
def entries(tar: Tar) -> tuple[Entry, ...]:
    """The samples of a tar: runs of members with one key, as the webdataset library groups them.

    Raises:
        UserError: The tar is damaged, a sample has two members of one kind, or a member is a pickle.
    """
    samples: list[tuple[str, dict[str, tuple[int, int]]]] = []
    for info in _headers(tar.path, str(tar.path)):
        named = _NAMED.fullmatch(info.name)
        if named is None or not info.isreg() or _RESERVED.match(info.name):
            continue
        key, ending = named[1], named[2].lower()
        if ending.rpartition(".")[2] in PICKLES:
            raise UserError(f"{tar.path}: {info.name} is refused: a pickle can run code; write arrays as .npy")
        if not samples or samples[-1][0] != key:
            samples.append((key, {}))
        if ending in samples[-1][1]:
            raise UserError(f"{tar.path}: {info.name} comes twice in one sample; write the tar anew")
        samples[-1][1][ending] = (info.offset_data, info.size)
    return tuple(Entry(key, members) for key, members in samples)


def _within(folder: Path) -> Iterator[Path]:
    return (path.absolute() for path in folder.rglob("*.tar") if not path.name.startswith("."))


def _matching(pattern: str) -> Iterator[Path]:
    names = expanded(pattern)
    for name in names:
        matches = glob(name)  # noqa: PTH207  # absolute patterns too
        if not matches and len(names) > 1:
            raise UserError(f"{name} is missing, which {pattern} names")
        yield from (Path(match).absolute() for match in matches)


def _split(path: Path) -> str | None:
    words: Iterable[str] = (*path.parts[:-1], re.split(r"[-_.]", path.name)[0])
    return next((SPLITS[word.lower()] for word in words if word.lower() in SPLITS), None)


def _tar(path: Path, root: Path, split: str) -> Tar:
    try:
        stat = path.stat()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}; mend the link, or leave it out") from error
    name = path.relative_to(root).with_suffix("").as_posix()
    return Tar(path=path, name=name, split=split, size=stat.st_size, mtime_ns=stat.st_mtime_ns)


def _headers(path: Path, where: str) -> Iterator[tarfile.TarInfo]:
    """The members of a tar that is whole: tarfile takes a damaged header for the end."""
    try:
        with tarfile.open(path, "r:") as archive:
            yield from archive
            end = archive.offset
        with path.open("rb") as stream:
            stream.seek(end)
            if any(stream.read(BLOCK)):
                raise UserError(f"{where}: the tar header at byte {end} is damaged; copy the tar anew")
    except (tarfile.TarError, OSError) as error:
        raise UserError(f"{where} is no tar, or a damaged one: {error}; copy the tar anew") from error
