"""Make the small data that ``specs/data-*.toml`` run on, in the layouts that others publish, from a seed.

    python specs/data/make.py [FOLDER]

writes beside itself, or to FOLDER, 2.7 MB; the same bytes each time on one machine with the same libraries.

* ``model-1.tgz`` and ``model-1_test.tgz``: lenses of DeepLenseSim's Model I, in the published layout.
* ``sdss.h5``: toy galaxies in the layout of the SDSS set of Hayat et al. 2021 (arXiv:2012.13083).
* ``lenses/{train,val,test}-000000.tar``: lenses as WebDataset tars that know nothing of this project.

Nothing in them was observed, and no published file is in them: lenses come from the project's simulator, galaxies from
the formula of :func:`galaxies`. All of it is CC0.
"""

from __future__ import annotations

import gzip
import io
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from deeplense_registry import Sample, build
from deeplense_registry.components import derive_seed
from deeplense_registry.shards.atomic import write_bytes

SEED = 0
SIZE = 32  # pixels along a side, of everything
CLASSES = ("axion", "cdm", "no_sub")

GALAXIES = 240
REDSHIFTS = (0.05, 0.4)
SLOPES = (-3.0, -1.5, 0.0, 1.5, 3.0)  # of log flux over redshift in u, g, r, i, z: redder with redshift
PIXELS_AT_ZERO = 8.0  # scale length of a galaxy at redshift 0, less by the redshift: 4 at 0.5
NOISE = 1.0  # rms; a galaxy's centre in r has FLUX
FLUX = 20.0
STEP = 1 / 8  # flux is in whole steps, an eighth of the noise: it compresses


def main(folder: Path) -> None:
    """Write all of it to ``folder``."""
    for top, split in (("Model_I", "train"), ("Model_I_test", "test")):
        members = dict(model_1(top, split))
        write_bytes(folder / f"{top.replace('Model_I', 'model-1')}.tgz", gzip.compress(tar(members), mtime=0))
    write_bytes(folder / "sdss.h5", galaxies())
    for split in ("train", "val", "test"):
        write_bytes(folder / "lenses" / f"{split}-000000.tar", tar(dict(foreign(split))))


def model_1(top: str, split: str) -> Iterator[tuple[str, bytes]]:
    """Files of Model I: counts (H, W) in int64; of axion lenses an object array of these and the axion's mass in eV."""
    for number, sample in enumerate(lenses(split, noise="as-published", train=180, test=90)):
        name = CLASSES[int(sample.targets["class"])]
        image: NDArray[Any] = sample.image[0].astype(np.int64)
        if name == "axion":
            pair = np.empty(2, object)
            pair[0], pair[1] = image, 10.0 ** float(sample.targets["log10_axion_mass"])
            image = pair
        yield f"{top}/{name}/{name}_sim_{number}.npy", npy(image)


def foreign(split: str) -> Iterator[tuple[str, bytes]]:
    """Members of a WebDataset tar: ``KEY.npy`` (H, W) in float16, ``KEY.json`` with class and Einstein radius."""
    for sample in lenses(split, vary=["einstein_radius"], train=120, val=60, test=60):
        known = {
            "class": CLASSES[int(sample.targets["class"])],
            "einstein_radius": round(float(sample.targets["einstein_radius"]), 4),  # arcsec
        }
        yield f"{sample.name}.npy", npy(sample.image[0].astype(np.float16))
        yield f"{sample.name}.json", json.dumps(known).encode()


def lenses(split: str, **options: Any) -> Iterator[Sample]:
    """Simulated lenses, a third of each class."""
    options = {"recipe": "model-1", "size": SIZE, "seed": SEED, **options}
    samples: Iterator[Sample] = build("dataset", "lenses", options).samples(split, 0, 1)
    return samples


def galaxies() -> bytes:
    """An HDF5 file of round exponential discs in u, g, r, i, z: the farther, the redder and the smaller. A toy."""
    rng = np.random.default_rng(derive_seed(SEED, "galaxies"))
    redshift = rng.uniform(*REDSHIFTS, GALAXIES)
    flux = FLUX * np.exp(np.array(SLOPES) * redshift[:, None] + rng.normal(0.0, 0.05, (GALAXIES, 1)))  # (N, C)
    length = PIXELS_AT_ZERO * (1.0 - redshift) * np.exp(rng.normal(0.0, 0.05, GALAXIES))  # (N,)
    axis = np.arange(SIZE) - (SIZE - 1) / 2
    profile = np.exp(-np.hypot(axis[:, None], axis) / length[:, None, None])  # (N, H, W)
    images = flux[:, :, None, None] * profile[:, None] + rng.normal(0.0, NOISE, (GALAXIES, 5, SIZE, SIZE))
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        stepped = (np.round(images / STEP) * STEP).astype(np.float32)
        file.create_dataset("images", data=stepped, chunks=(16, 5, SIZE, SIZE), compression="gzip", shuffle=True)
        file["ObjID"] = np.arange(GALAXIES) + 1
        file["e_bv"] = rng.uniform(0.0, 0.2, GALAXIES)  # of no effect on these images
        file["specz_redshift"] = redshift
    return stream.getvalue()


def npy(array: NDArray[Any]) -> bytes:
    """An ``.npy`` file."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=array.dtype.hasobject)
    return stream.getvalue()


def tar(members: dict[str, bytes]) -> bytes:
    """A plain tar, without times and owners."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
