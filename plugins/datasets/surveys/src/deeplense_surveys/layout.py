"""How images are stored: as the options say, or as the files show."""

from __future__ import annotations

from pathlib import Path

import h5py
from attrs import frozen

from deeplense_registry import UserError

from .options import SurveysOptions
from .signature import unreadable
from .stacks import IMAGES

ENDINGS = (".h5", ".hdf5", ".hdf")


@frozen
class Layout:
    """A layout and what speaks for it.

    Attributes:
        name: "fits", "sdss" or "multimodal-universe".
        folder: What the files lie in.
        files: The HDF5 files, sorted; none for FITS, whose names come from the catalogue.
        why: A sentence for the card.
    """

    name: str
    folder: Path
    files: tuple[Path, ...]
    why: str


def find_layout(options: SurveysOptions) -> Layout:
    """The layout of the images at ``options.path``.

    Raises:
        UserError: There is nothing, or nothing of a known layout, or a catalogue is missing or one too many.
    """
    path = Path(options.path).expanduser()
    if not path.exists():
        raise UserError(f"{path}: there is no such file or folder; mend 'path'")
    if options.layout == "fits" or (options.layout == "auto" and options.catalogue and path.is_dir()):
        return _cutouts(path, options)
    if options.catalogue:
        raise UserError(f"{path}: HDF5 files bring their own columns; leave 'catalogue' out, or give a folder of FITS")
    files = _stacks(path)
    if options.layout != "auto":
        return Layout(options.layout, _folder(path), files, f'The layout is "{options.layout}", as the spec says.')
    name = _told(files[0])
    why = f'The layout is "{name}", since {files[0].name} has a data set "{IMAGES[name]}".'
    return Layout(name, _folder(path), files, why)


def _cutouts(path: Path, options: SurveysOptions) -> Layout:
    if not path.is_dir():
        raise UserError(f"{path} is a file; FITS cut-outs lie in a folder: give it as 'path'")
    if not options.catalogue:
        raise UserError(f"{path}: FITS cut-outs need a catalogue with a row for each image; give it as 'catalogue'")
    said = "as the spec says" if options.layout == "fits" else "since the spec names a catalogue"
    return Layout("fits", path, (), f'The layout is "fits", {said}; files are named "{options.files}".')


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _stacks(path: Path) -> tuple[Path, ...]:
    if path.is_file():
        return (path,)
    files = tuple(sorted(file for file in path.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file()))
    if not files:
        raise UserError(
            f"{path} has no HDF5 file ({', '.join(ENDINGS)}); mend 'path', or give a catalogue of its FITS cut-outs"
        )
    return files


def _told(file: Path) -> str:
    try:
        with h5py.File(file, "r") as stack:
            names = list(stack)
    except OSError as error:
        raise unreadable(file, "HDF5", error) from error
    for layout, images in IMAGES.items():
        if images in names:
            return layout
    known = " or ".join(f'"{images}" ({layout})' for layout, images in IMAGES.items())
    raise UserError(f"{file} has no data set {known}; it has: {', '.join(names) or 'nothing'}")
