"""Small surveys: galaxies whose colour and size tell their redshift, written as surveys write them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

SCALE = 0.262


def galaxies(count=24, bands="ugriz", size=40, seed=0):
    """Images (N, C, H, W) with noise, and what is known of them."""
    rng = np.random.default_rng(seed)
    redshift = rng.uniform(0.05, 0.4, count)
    axis = np.arange(size) - (size - 1) / 2
    radius = np.hypot(axis[:, None], axis[None, :])
    profile = np.exp(-radius / (12 * (0.5 - redshift))[:, None, None])  # (N, H, W)
    colour = np.exp(np.linspace(-3, 3, len(bands)) * redshift[:, None])  # (N, C)
    images = 10 * colour[:, :, None, None] * profile[:, None] + rng.normal(0, 0.1, (count, len(bands), size, size))
    return SimpleNamespace(
        bands=tuple(bands),
        ids=[1237648720693755918 + row for row in range(count)],
        images=images.astype(np.float32),
        redshift=redshift,
        ebv=rng.uniform(0.0, 0.2, count),
        ra=rng.uniform(0, 360, count),
        dec=rng.uniform(-30, 30, count),
        psf=rng.uniform(1.0, 2.0, (count, len(bands))),
        kind=["spiral" if z > 0.2 else "elliptical" for z in redshift],
    )


@pytest.fixture
def sky():
    return galaxies()


@pytest.fixture
def make_sky():
    return galaxies


def write_sdss(path: Path, sky) -> Path:
    with h5py.File(path, "w") as stack:
        stack["images"] = sky.images
        stack["ObjID"] = np.array(sky.ids)
        stack["e_bv"], stack["specz_redshift"] = sky.ebv, sky.redshift
        stack["ra"], stack["dec"] = sky.ra, sky.dec
    return path


def write_mmu(path: Path, sky, rows=slice(None), **more) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as stack:
        images = sky.images[rows]
        stack.create_dataset("image_array", data=images, chunks=(4, *images.shape[1:]), compression="gzip")
        stack["image_ivar"] = np.full_like(images, 25.0)
        stack["image_band"] = np.array([[f"decam-{band}".encode() for band in sky.bands]] * len(images))
        stack["image_psf_fwhm"] = sky.psf[rows]
        stack["image_scale"] = np.full((len(images), len(sky.bands)), SCALE, np.float32)
        stack["object_id"] = np.array([str(one).encode() for one in sky.ids[rows]])
        stack["EBV"], stack["Z"] = sky.ebv[rows], sky.redshift[rows]
        for name, value in more.items():
            stack[name] = value
    return path


def header(scale=SCALE):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    turn = np.deg2rad(30)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    wcs.wcs.cd = scale / 3600 * np.diag([-1, 1]) @ rotation
    return wcs.to_header()


def write_cutouts(folder: Path, sky) -> Path:
    """A file for each image and band, big-endian as FITS is."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in zip(sky.ids, sky.images, strict=True):
        for band, plane in zip(sky.bands, image, strict=True):
            own = header()
            own["BUNIT"] = "nanomaggy"
            fits.writeto(folder / f"{name}_{band}.fits", plane, own)
    return folder


def table(sky):
    columns = {"objid": sky.ids, "RA": sky.ra, "DEC": sky.dec, "ebv": sky.ebv, "z": sky.redshift, "type": sky.kind}
    return Table({**columns, **{f"PSFSIZE_{b.upper()}": sky.psf[:, n] for n, b in enumerate(sky.bands)}})


@pytest.fixture
def write(tmp_path):
    """Writers of surveys; those of several files write below ``tmp_path``."""

    def cutouts(sky, ending="csv"):
        path = tmp_path / f"catalogue.{ending}"
        if ending == "parquet":
            parquet = pytest.importorskip("pyarrow.parquet")
            import pyarrow

            rows = table(sky)
            columns = {name: pyarrow.array(rows[name].tolist()) for name in rows.colnames}
            parquet.write_table(pyarrow.table(columns), path)
        else:
            formats = {"csv": "ascii.csv", "ecsv": "ascii.ecsv"}
            table(sky).write(path, format=formats.get(ending, "fits"), overwrite=True)
        folder = tmp_path / "cutouts"
        if not folder.exists():
            write_cutouts(folder, sky)
        return {"path": str(folder), "catalogue": str(path), "bands": sky.bands}

    return SimpleNamespace(
        sdss=lambda sky, name="sdss.h5": str(write_sdss(tmp_path / name, sky)),
        mmu=lambda sky, name="mmu.hdf5", rows=slice(None), **more: str(write_mmu(tmp_path / name, sky, rows, **more)),
        cutouts=cutouts,
        header=header,
        table=table,
    )
