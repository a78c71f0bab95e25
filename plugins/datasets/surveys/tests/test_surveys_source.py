"""Surveys as data sets: what comes out is what was written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import astropy
import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from deeplense_surveys.options import SurveysOptions, TargetOptions
from deeplense_surveys.source import SurveyImages

from deeplense_registry import UserError
from deeplense_registry.components import find, load_factory, load_options
from deeplense_registry.shards import ShardSet, build_shards, read_manifest
from deeplense_registry.spec import expand, load_spec

REDSHIFT = {"specz_redshift": TargetOptions()}
Z = {"redshift": TargetOptions(column="z")}


def everything(source):
    """All samples by name, whatever their split."""
    splits = source.card().splits
    return {one.name: (split, one) for split in splits for one in source.samples(split, 0, 1)}


def as_bytes(source, split, parts):
    made = [one for part in range(parts) for one in source.samples(split, part, parts)]
    return [(one.name, one.image.tobytes(), one.targets, one.meta) for one in made]


def test_the_plugin_is_found():
    row = find("dataset", "surveys")
    assert load_options(row) is SurveysOptions
    assert load_factory(row) is SurveyImages


def test_the_light_modules_import_nothing_heavy():
    code = (
        "import sys, deeplense_surveys.options as o; sys.exit(bool({'torch', 'astropy', 'h5py'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def sdss(write, sky, **more):
    options = {"bands": sky.bands, "pixel_scale": 0.396, "targets": REDSHIFT, **more}
    return SurveyImages(SurveysOptions(path=write.sdss(sky), **options))


def test_sdss_stacks(write, sky):
    source = sdss(write, sky)
    card = source.card()
    assert (card.bands, card.pixel_scale, str(card.shape)) == (("u", "g", "r", "i", "z"), 0.396, "5x40x40")
    assert card.splits == {"train": 19, "val": 3, "test": 2}
    assert 'The layout is "sdss", since sdss.h5 has a data set "images".' in card.about
    assert "ebv: e_bv" in card.about
    made = everything(source)
    assert sorted(made) == [str(one) for one in sky.ids]
    for row, name in enumerate(map(str, sky.ids)):
        one = made[name][1]
        assert one.image.dtype == np.float32
        assert np.array_equal(one.image, sky.images[row])
        assert one.targets == {"specz_redshift": sky.redshift[row]}
        assert one.meta == {
            "object_id": name,
            "row": row + 1,
            "file": "sdss.h5",
            "bands": "u,g,r,i,z",
            "pixel_scale": 0.396,
            "ebv": sky.ebv[row],
            "ra": sky.ra[row],
            "dec": sky.dec[row],
        }


def test_multimodal_universe_in_several_files(write, sky):
    write.mmu(sky, "mmu/healpix=1/001-of-001.hdf5", slice(10))
    write.mmu(sky, "mmu/healpix=2/001-of-001.hdf5", slice(10, None))
    folder = Path(write.mmu(sky)).parent / "mmu"
    source = SurveyImages(
        SurveysOptions(path=str(folder), bands=("decam-z", "decam-g"), targets={"Z": TargetOptions()})
    )
    card = source.card()
    assert (card.bands, str(card.shape)) == (("decam-z", "decam-g"), "2x40x40")
    assert card.pixel_scale == pytest.approx(0.262)
    made = everything(source)
    for row, name in enumerate(map(str, sky.ids)):
        one = made[name][1]
        assert np.array_equal(one.image, sky.images[row, [4, 1]])
        assert one.targets == {"Z": sky.redshift[row]}
        sigma = sky.psf[row, [4, 1]] / 2.35482 / 0.262
        assert one.meta["psf_sigma"] == pytest.approx(sigma.mean(), rel=1e-5)
        assert one.meta["psf_sigma_decam-g"] == pytest.approx(sigma[1], rel=1e-5)
        assert one.meta["noise"] == pytest.approx(0.2)
        assert one.meta["ebv"] == sky.ebv[row]
        assert one.meta["file"] == f"healpix={1 + (row >= 10)}/001-of-001.hdf5"


def test_blocks_of_hdf5_are_bounded(write, sky, monkeypatch):
    monkeypatch.setattr("deeplense_surveys.stacks.BLOCK_BYTES", 3 * sky.images[0].nbytes)
    read = []
    path, original = write.mmu(sky), h5py.Dataset.__getitem__

    def watched(self, index, **more):
        if self.name == "/image_array" and isinstance(index, slice):
            read.append(index)
        return original(self, index, **more)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", watched)
    source = SurveyImages(SurveysOptions(path=path))
    source.card()
    assert {index.stop - index.start for index in read} == {3}
    del read[:]
    assert len(list(source.samples("train", 0, 1))) == 19
    assert max(index.stop - index.start for index in read) <= 3


@pytest.mark.parametrize("ending", ["csv", "ecsv", "fits", "parquet"])
def test_fits_cutouts(write, make_sky, ending):
    sky = make_sky(bands="gr", size=16)
    targets = {**Z, "type": TargetOptions(kind="class")}
    source = SurveyImages(SurveysOptions(**write.cutouts(sky, ending), targets=targets, keep=("z", "type", "objid")))
    card = source.card()
    assert (card.bands, str(card.shape)) == (("g", "r"), "2x16x16")
    assert card.pixel_scale == pytest.approx(0.262)
    assert card.targets["type"].classes == ("elliptical", "spiral")
    made = everything(source)
    assert len(made) == sum(card.splits.values()) == 24
    for row, name in enumerate(map(str, sky.ids)):
        one = made[name][1]
        assert one.image.dtype.isnative
        assert one.image.flags.c_contiguous
        assert np.array_equal(one.image, sky.images[row])
        assert one.targets == {"redshift": pytest.approx(sky.redshift[row]), "type": int(sky.kind[row] == "spiral")}
        assert one.meta["objid"] == name  # too long for a float
        assert one.meta["z"] == one.targets["redshift"]
        assert (one.meta["type"], one.meta["unit"], one.meta["object_id"]) == (sky.kind[row], "nanomaggy", name)
        assert one.meta["ra"] == pytest.approx(sky.ra[row])
        assert one.meta["psf_sigma"] == pytest.approx(sky.psf[row].mean() / 2.35482 / 0.262, rel=1e-5)


def test_cubes_and_scaled_integers(write, make_sky, tmp_path):
    sky = make_sky(bands="gr", size=16, count=12)
    options = write.cutouts(sky)
    for row in range(12):
        path = tmp_path / "cutouts" / f"cube-{row + 1:04d}.fits"
        if row % 2:  # as fpack leaves them: an empty primary HDU, then the image, here cut to its middle
            pixels = sky.images[row, :, 2:-2, 2:-2]
            cube = fits.CompImageHDU(pixels, write.header(), compression_type="GZIP_2", quantize_level=0.0)
            fits.HDUList([fits.PrimaryHDU(), cube]).writeto(path)
        else:
            cube = fits.PrimaryHDU(sky.images[row].copy(), write.header())
            cube.scale("int16", bscale=0.01, bzero=20.0)
            cube.writeto(path)
    Table({"number": range(1, 13), "ebv": sky.ebv[:12], "z": sky.redshift[:12]}).write(
        options["catalogue"], overwrite=True
    )
    more = {"files": "cube-{number:04d}.fits", "size": 12, "ebv": "ebv"}
    made = everything(SurveyImages(SurveysOptions(**options, **more)))
    assert sorted(made) == [f"row-{row:06d}" for row in range(1, 13)]
    for row in range(12):
        one = made[f"row-{row + 1:06d}"][1]
        assert np.allclose(one.image, sky.images[row, :, 2:-2, 2:-2], atol=0.01)


def test_a_real_image(tmp_path):
    """M 13, as it lies in astropy: int16, 1 arcsec a pixel, with an obsolete keyword in its WCS."""
    path = Path(astropy.__file__).parent / "io/fits/hdu/compressed/tests/data/m13.fits"
    if not path.exists():
        pytest.skip("astropy is installed without the data of its tests")
    for name in ("m13", "m13-again"):
        (tmp_path / f"{name}.fits").write_bytes(path.read_bytes())
    (tmp_path / "catalogue.csv").write_text("id,split\nm13,train\nm13-again,test\n")
    options = {"path": str(tmp_path), "catalogue": str(tmp_path / "catalogue.csv"), "bands": ("R",)}
    source = SurveyImages(SurveysOptions(**options, files="{id}.fits", split="split", size=64))
    card = source.card()
    assert card.pixel_scale == pytest.approx(0.99972, rel=1e-4)
    assert card.splits == {"train": 1, "test": 1}
    (one,) = source.samples("train", 0, 1)
    assert one.image.shape == (1, 64, 64)
    assert np.array_equal(one.image[0], fits.getdata(path)[118:182, 118:182])


@pytest.fixture(params=["sdss", "multimodal-universe", "fits"])
def spoilt(request, write, make_sky):
    """Options for 24 images of which five cannot be used."""
    sky = make_sky(bands="gr", size=16)
    for row, value in ((2, 0.0), (9, 0.0), (14, 7.0)):
        sky.images[row] = value
    sky.images[5, 0] = 0.0
    sky.images[20, 1, 3, 3] = np.nan
    if request.param == "fits":
        return SurveysOptions(**write.cutouts(sky), targets=Z)
    if request.param == "sdss":
        return SurveysOptions(path=write.sdss(sky), bands=sky.bands, pixel_scale=0.396, targets=REDSHIFT)
    return SurveysOptions(path=write.mmu(sky), targets={"Z": TargetOptions()})


def test_images_that_cannot_be_used_are_left_out_and_told(spoilt, make_sky):
    ids = [str(one) for one in make_sky().ids]
    source = SurveyImages(spoilt)
    with pytest.warns(UserWarning, match="5 of 24 images are left out") as told:
        card = source.card()
    (text,) = [str(one.message) for one in told]
    g = "decam-g" if "mmu" in spoilt.path else "g"
    assert f"1 with NaN or infinite pixels ({ids[20]})" in text
    assert f"3 with pixels of band {g} all zero ({ids[2]}, {ids[5]}, {ids[9]})" in text
    assert f"1 with pixels of band {g} all of one value ({ids[14]})" in text
    assert "5 of 24 images are left out" in card.about
    made = [one.name for split in card.splits for one in source.samples(split, 0, 1)]
    assert sorted(made) == sorted(set(ids) - {ids[row] for row in (2, 5, 9, 14, 20)})
    assert {split: len(list(source.samples(split, 0, 1))) for split in card.splits} == card.splits


def test_the_same_bytes_in_any_number_of_parts(spoilt):
    whole = as_bytes(SurveyImages(spoilt), "train", 1)
    assert len(whole) > 10
    for parts in (2, 7, 30):
        assert as_bytes(SurveyImages(spoilt), "train", parts) == whole


def test_shards(spoilt, tmp_path):
    source = SurveyImages(spoilt)
    with pytest.warns(UserWarning, match="left out"):
        card = source.card()
    folder = tmp_path / "shards"
    build_shards(Opener(spoilt), card, folder, digest="0" * 64, processes=1)
    shards = ShardSet.open(folder)
    assert read_manifest(folder).card.splits == card.splits
    (target,) = card.targets
    for split, count in card.splits.items():
        samples = list(source.samples(split, 0, 1))
        images = shards.images(split, np.arange(count))
        assert np.array_equal(images, np.stack([one.image for one in samples]))
        assert np.array_equal(shards.targets(split, target), [one.targets[target] for one in samples])
        assert np.array_equal(shards.meta(split, "ebv"), [one.meta["ebv"] for one in samples])
        if "sdss" not in spoilt.path:
            assert np.array_equal(shards.meta(split, "psf_sigma"), [one.meta["psf_sigma"] for one in samples])


class Opener:
    """Opens the survey in whatever process."""

    def __init__(self, options):
        self.options = options

    def __call__(self):
        return SurveyImages(self.options)


def test_views_see_what_is_known_of_images(write, make_sky):
    """The names of meta are those the engine hands to views."""
    from deeplense_registry.engine.feed import NUISANCES

    sky = make_sky(bands="gr", size=16)
    source = SurveyImages(SurveysOptions(path=write.mmu(sky)))
    source.card()
    (*_, one) = source.samples("train", 0, 1)
    assert set(NUISANCES) <= set(one.meta)


def test_bright_noise_of_the_catalogue_replaces_that_of_the_images(write, make_sky):
    sky = make_sky(bands="gr", size=16)
    depth = np.linspace(1, 2, 24)
    path = write.mmu(sky, depth_g=depth, depth_r=depth + 1, bad=np.full(24, -1.0))
    more = {"noise": "depth_{band}", "psf_fwhm": "bad", "bands": ("decam-g",)}
    with pytest.raises(UserError, match=r'has no column "depth_decam-g" \(noise\); did you mean "depth_g"'):
        SurveyImages(SurveysOptions(path=path, **more))
    made = everything(SurveyImages(SurveysOptions(path=path, noise="depth_g", psf_fwhm="bad")))
    for row, name in enumerate(map(str, sky.ids)):
        assert made[name][1].meta["noise"] == depth[row]
        assert not [key for key in made[name][1].meta if key.startswith("psf")]


def test_images_without_weights_have_no_noise(write, make_sky):
    sky = make_sky(bands="gr", size=16)
    path = write.mmu(sky)
    with h5py.File(path, "r+") as stack:
        stack["image_ivar"][3] = 0.0
    made = everything(SurveyImages(SurveysOptions(path=path)))
    assert "noise" not in made[str(sky.ids[3])][1].meta
    assert "noise" in made[str(sky.ids[4])][1].meta


def test_stacks_of_one_band(write, make_sky, tmp_path):
    sky = make_sky(bands="r", size=16)
    with h5py.File(tmp_path / "flat.h5", "w") as stack:
        stack["images"] = sky.images[:, 0]
    source = SurveyImages(SurveysOptions(path=str(tmp_path / "flat.h5"), bands=("r",), pixel_scale=0.2, layout="sdss"))
    card = source.card()
    assert str(card.shape) == "1x16x16"
    assert 'The layout is "sdss", as the spec says.' in card.about
    assert "read as" not in card.about
    (one, *_) = source.samples("test", 0, 1)
    assert np.array_equal(one.image, sky.images[one.meta["row"] - 1])


def test_pixel_scales_that_vary_are_told(write, make_sky):
    sky = make_sky(bands="gr", size=16)
    path = write.mmu(sky)
    with h5py.File(path, "r+") as stack:
        stack["image_scale"][3] = 0.3
    card = SurveyImages(SurveysOptions(path=path)).card()
    assert card.pixel_scale == pytest.approx(0.262)
    assert "Pixel scales vary from 0.262 to 0.3 arcsec." in card.about


def test_split_columns_and_missing_values(write, make_sky):
    sky = make_sky(bands="gr", size=16, count=8)
    options = write.cutouts(sky)
    rows = write.table(sky)
    rows["part"] = ["train", "train", "test", "val", "", "train", "test", "train"]
    rows["z"][3] = -99.0
    rows["grade"] = [3, 1, 1, 3, 1, -1, 10, 1]
    rows.write(options["catalogue"], overwrite=True)
    grade = TargetOptions(kind="class", column="grade", missing=(-1.0,))
    targets = {"redshift": TargetOptions(column="z", missing=(-99.0,)), "grade": grade}
    source = SurveyImages(SurveysOptions(**options, split="part", targets=targets))
    card = source.card()
    assert card.splits == {"train": 4, "val": 1, "test": 2}
    assert card.targets["grade"].classes == ("1", "3", "10")
    made = everything(source)
    assert str(sky.ids[4]) not in made
    assert made[str(sky.ids[3])][1].targets == {"grade": 1}
    assert set(made[str(sky.ids[5])][1].targets) == {"redshift"}
    assert made[str(sky.ids[6])][0] == "test"
    assert made[str(sky.ids[6])][1].targets["grade"] == 2


def test_rows_without_their_file_can_be_skipped(write, make_sky):
    sky = make_sky(bands="gr", size=16)
    options = write.cutouts(sky)
    (Path(options["path"]) / f"{sky.ids[4]}_r.fits").unlink()
    source = SurveyImages(SurveysOptions(**options, missing_files="skip"))
    with pytest.warns(UserWarning, match=rf"1 of 24 images are left out: 1 without their file \({sky.ids[4]}\)"):
        card = source.card()
    assert sum(card.splits.values()) == 23


def test_runs_on_files_that_changed_are_others(tmp_path):
    spec, catalogue = tmp_path / "spec.toml", tmp_path / "table.csv"
    (tmp_path / "images").mkdir()
    table = f'path = "{tmp_path}/images"\ncatalogue = "{catalogue}"'
    spec.write_text(f"[dataset.surveys]\n{table}\n[method.simclr]\n[backbone.levit]\n")

    def digests():
        (cell,) = expand(load_spec(spec))
        return cell.digest, cell.train_digest

    seen = [digests(), digests()]
    assert seen[0] == seen[1]
    catalogue.write_text("id\n1\n")
    seen.append(digests())
    (tmp_path / "images" / "1_g.fits").write_bytes(b"none")
    seen.append(digests())
    assert len({digest for pair in seen for digest in pair}) == 6
