"""What somebody has: an encoder, its run, and images of whatever kind."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from ...components import ImageShape, UserError
from ...shards import ShardSet, materialise
from ...spec import Cell, Instance, expand, load_spec
from ..encoder import Encoder, load_encoder
from ..folder import RunFolder
from ..precision import choose_device
from ..session import Report, settle
from .arrays import stack_in_file, stack_of_files
from .stack import Stack, check_bands, stack_of

KINDS = "a run's folder, a folder of shards, a spec (.toml), a .npy stack, or a folder of .npy images"


def silent(done: int, total: int | None) -> None:
    """Tells nobody how far work has come."""


def open_encoder(path: Path) -> Encoder:
    """The encoder of a run or an export, on the GPU if there is one, and torch set to the threads of the run's spec.

    Raises:
        UserError: As :func:`~deeplense_registry.load_encoder`, or the run's spec is damaged.
    """
    encoder = load_encoder(path)
    device = choose_device("auto")
    settle(device, _threads(path / "spec.toml"))
    return encoder.to(device)


def open_run(path: Path) -> tuple[RunFolder, Cell]:
    """A run that has an encoder, and what it ran.

    Raises:
        UserError: There is no such run in the folder, or its spec cannot be read any more.
    """
    folder = RunFolder(path)
    manifest = folder.manifest()
    if manifest is None or "status" not in manifest:  # shards have a manifest of their own
        raise UserError(f"{path}: no run here; give the folder of a run, runs/<name>/<cell>")
    if not folder.encoder.exists():
        raise UserError(
            f"{path}: its run is {manifest['status']} and has no encoder yet; finish it with `deeplense run`"
        )
    return folder, expand(load_spec(path / "spec.toml"))[0]


def open_images(path: Path, shape: ImageShape, split: str = "test", report: Report = silent) -> Stack:
    """The images at ``path``, of whatever kind it is.

    Args:
        path: A run's folder, a folder of shards, a spec, a .npy stack or a folder of .npy images.
        shape: What the encoder takes; images of another size are taken too, of other bands not.
        split: Of shards, runs and specs.
        report: ``report(done, total)`` while shards are built.

    Raises:
        UserError: Nothing of the kind is there, there is no image, or the images have other bands.
    """
    images = _open(path, shape, split, report)
    if not len(images):
        raise UserError(f"{images.where}: no images; give {KINDS}, with some")
    return images


def _open(path: Path, shape: ImageShape, split: str, report: Report) -> Stack:
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; give {KINDS}")
    if path.suffix == ".toml":
        return _of_dataset(_one_dataset(path), shape, split, report)
    if path.suffix == ".npy":
        return stack_in_file(path, shape)
    if (path / "spec.toml").is_file():
        return _of_dataset(open_run(path)[1].dataset, shape, split, report)
    if (path / "manifest.json").is_file():
        return _of_shards(path, shape, split)
    if files := sorted(path.glob("*.npy")):
        return stack_of_files(path, files, shape)
    what = "an encoder without images" if (path / "card.json").is_file() else "no images here"
    raise UserError(f"{path}: {what}; give {KINDS}")


def _one_dataset(path: Path) -> Instance:
    spec = load_spec(path)
    if len(spec.dataset) != 1:
        names = ", ".join(one.name for one in spec.dataset)
        raise UserError(f"{path}: several data sets ({names}); give a spec with one")
    return spec.dataset[0]


def _of_dataset(dataset: Instance, shape: ImageShape, split: str, report: Report) -> Stack:
    return _of_shards(materialise(dataset, processes=os.cpu_count() or 1, progress=report), shape, split)


def _of_shards(folder: Path, shape: ImageShape, split: str) -> Stack:
    shards = ShardSet.open(folder)
    check_bands(shards.card.shape.channels, shape, folder)
    return stack_of(shards, split)


def _threads(spec: Path) -> int | None:
    """Of a run's resolved spec, read without its plugins; ``None``: torch's choice, or no run."""
    if not spec.is_file():
        return None
    try:
        train = tomllib.loads(spec.read_text())["train"]
    except (ValueError, KeyError) as error:
        raise UserError(f"{spec}: damaged ({error!r}); run the spec again in another folder") from error
    threads: int | None = train.get("threads") or (1 if train.get("reproducible") else None)
    return threads
