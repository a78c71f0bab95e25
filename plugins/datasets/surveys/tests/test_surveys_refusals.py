"""Bad input ends with one message that names the file or the row, and says what to do."""

from __future__ import annotations

import builtins
from contextlib import nullcontext
from pathlib import Path

import attrs
import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from deeplense_surveys.options import SurveysOptions, TargetOptions
from deeplense_surveys.signature import refuse_page
from deeplense_surveys.source import SurveyImages

from deeplense_registry import UserError
from deeplense_registry.spec import SpecError, structure_options

PAGE = b"\n<!DOCTYPE html>\n<html><title>404 Not Found</title></html>\n"


def refused(**options):
    """What is said of these options, opening or looking through the survey."""
    with pytest.raises(UserError) as told:
        SurveyImages(SurveysOptions(**options)).card()
    return str(told.value)


@pytest.fixture
def cutouts(write, make_sky):
    """Options for twelve images of two bands, and the path of the third image's first file."""
    sky = make_sky(bands="gr", size=16, count=12)
    options = write.cutouts(sky)
    return options, Path(options["path"]) / f"{sky.ids[2]}_g.fits"


@pytest.fixture
def stack(write, make_sky):
    """Options for an SDSS stack of twelve images."""
    sky = make_sky(bands="gr", size=16, count=12)
    return {"path": write.sdss(sky), "bands": ("g", "r"), "pixel_scale": 0.4}


def test_a_row_without_its_image(cutouts):
    options, file = cutouts
    file.unlink()
    said = refused(**options)
    assert f"catalogue.csv: row 3 (id {file.name[:19]}) has no image: {file} is missing; put it there" in said
    assert 'missing_files = "skip"' in said


def test_no_image_that_can_be_used(cutouts):
    options, file = cutouts
    for path in file.parent.iterdir():
        path.unlink()
    said = refused(**options, missing_files="skip")
    assert "split 'train' has no image that can be used: 12 of 12 images are left out: 12 without their file" in said


@pytest.mark.parametrize("name", ["stack.h5", "image_g.fits", "catalogue.csv", "catalogue.fits", "catalogue.parquet"])
def test_web_pages_in_place_of_data(cutouts, tmp_path, name):
    options, file = cutouts
    path = file if name == "image_g.fits" else tmp_path / name
    path.write_bytes(PAGE)
    given = {"path": str(path)} if name == "stack.h5" else options
    if name.startswith("catalogue"):
        given = {**options, "catalogue": str(path)}
    said = refused(**given)
    assert f"{path} is a web page (it starts with '<!DOCTYPE html>')" in said
    assert "download the file again" in said


@pytest.mark.parametrize("keep", [0, 1000, 2 * 2880])
def test_truncated_fits(cutouts, keep):
    options, file = cutouts
    fits.writeto(file, np.ones((60, 60), np.float32), overwrite=True)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.warns() if keep else nullcontext():
        said = refused(**options)
    assert f"{file} is no FITS file, or damaged" in said


def test_a_truncated_hdf5(stack):
    path = Path(stack["path"])
    path.write_bytes(path.read_bytes()[:3000])
    assert f"{path} is no HDF5 file, or damaged" in refused(**stack)
    assert f"{path} is no HDF5 file, or damaged" in refused(**stack, layout="sdss")


def test_damaged_pixels_of_an_hdf5(write, make_sky):
    path = Path(write.mmu(make_sky(bands="gr", size=16, count=12)))
    with h5py.File(path) as stack:
        chunk = stack["image_array"].id.get_chunk_info(1)
    data = bytearray(path.read_bytes())
    data[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path.write_bytes(data)
    assert f"{path}: rows 4 to 7 cannot be read" in refused(path=str(path))


def test_an_unreadable_file(stack, tmp_path):
    (tmp_path / "folder.h5").mkdir()
    said = refused(path=str(tmp_path / "folder.h5"))
    assert "folder.h5 has no HDF5 file (.h5, .hdf5, .hdf); mend 'path', or give a catalogue" in said


def test_images_of_another_size(cutouts):
    options, file = cutouts
    for path in (file, file.with_name(file.name.replace("_g", "_r"))):
        fits.writeto(path, fits.getdata(path)[:14], overwrite=True)
    said = refused(**options, pixel_scale=0.2)
    assert f"{file.name}: image {file.name[:19]} has 14 x 16 pixels" in said
    assert "has 16 x 16; size = 14 cuts both alike" in said
    assert str(SurveyImages(SurveysOptions(**options, pixel_scale=0.2, size=14)).card().shape) == "2x14x14"


def test_a_size_that_no_image_has(stack):
    said = refused(**stack, size=20)
    assert "sdss.h5: row 1 has 16 x 16 pixels, fewer than size = 20; set size = 16 or less" in said


def test_bands_of_several_shapes(cutouts):
    options, file = cutouts
    other = file.with_name(file.name.replace("_g", "_r"))
    fits.writeto(other, np.ones((8, 9), np.float32), overwrite=True)
    assert f"{other} has 8 x 9 pixels, band g 16 x 16; cut all bands to one grid" in refused(**options)


def test_planes_that_no_band_names(cutouts):
    options, file = cutouts
    fits.writeto(file, np.ones((2, 16, 16), np.float32), overwrite=True)
    assert f"{file} holds 2 planes instead of 1" in refused(**options)


def test_fits_without_an_image(cutouts):
    options, file = cutouts
    Table({"a": [1]}).write(file, overwrite=True)
    assert f"{file} holds no image" in refused(**options)


def test_no_pixel_scale(stack, cutouts):
    said = refused(**{**stack, "pixel_scale": None})
    assert "sdss.h5: neither a celestial WCS nor a column" in said
    options, file = cutouts
    fits.writeto(file, fits.getdata(file), overwrite=True)
    assert f"{file.name}: neither a celestial WCS" in refused(**options)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"targets": {"specz": TargetOptions()}}, 'no column "specz" (target specz'),
        ({"targets": {"specz_redshif": TargetOptions()}}, 'did you mean "specz_redshift"? Columns: '),
        ({"targets": {"a": TargetOptions(column="images")}}, 'no column "images"'),
        ({"id": "objid"}, 'no column "objid" (id); did you mean "ObjID"?'),
        ({"split": "part"}, 'no column "part" (split)'),
        ({"split": "ra"}, 'row 1, column "ra":'),
        ({"keep": ("mag",)}, 'no column "mag" (keep)'),
        ({"ebv": "EBV"}, 'no column "EBV" (ebv)'),
        ({"psf_fwhm": "psf_{band}"}, 'no column "psf_g" (psf_fwhm)'),
        ({"noise": "images"}, 'no column "images" (noise)'),
        ({"bands": ("g",)}, "images have 2 bands; bands names 1, and all are to be named in order"),
        ({"bands": ()}, "images have 2 bands; which? Write them: bands = [...]"),
        ({"catalogue": "x.csv"}, "HDF5 files bring their own columns; leave 'catalogue' out"),
        ({"layout": "fits", "catalogue": "x.csv"}, "is a file; FITS cut-outs lie in a folder"),
        ({"layout": "multimodal-universe"}, 'has no data set "image_array"; it has: ObjID, dec, e_bv, images'),
        ({"fractions": {"train": 0.95, "val": 0.001}}, "split 'val' has none of its 12 rows"),
        ({"path": "nowhere.h5"}, "nowhere.h5: there is no such file or folder; mend 'path'"),
    ],
)
def test_options_that_do_not_suit_a_stack(stack, more, said):
    assert said in refused(**{**stack, **more})


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"catalogue": "nowhere.csv"}, "nowhere.csv: there is no such catalogue; mend 'catalogue'"),
        ({"catalogue": None, "layout": "fits"}, "FITS cut-outs need a catalogue"),
        ({"bands": ()}, "which bands do the cut-outs have?"),
        ({"files": "{name}.fits"}, 'no column "name" (in files)'),
        ({"files": "{id_{band}.fits"}, "mend the braces"),
        ({"files": "{id.real}.fits"}, "{id.real} is no name of a column"),
        ({"files": "{type:06d}.fits"}, "does not suit row 1"),
        ({"targets": {"type": TargetOptions()}}, "a text is a target of kind"),
        ({"targets": {"t": TargetOptions(kind="class", column="type", classes=("disk",))}}, "is no class of target t"),
        ({"targets": {"t": TargetOptions(column="empty")}}, 'column "empty" (target t) is empty'),
        ({"id": "empty"}, 'row 1 has no id (column "empty")'),
        ({"id": "twice"}, 'id 7 (column "twice") is in rows 1 and 2; an object is one image'),
    ],
)
def test_options_that_do_not_suit_cutouts(cutouts, more, said):
    options, _ = cutouts
    rows = Table.read(options["catalogue"], format="ascii.csv")
    rows["empty"], rows["twice"] = "", 7
    rows.write(options["catalogue"], overwrite=True)
    assert said in refused(**{**options, **more})


def test_catalogues_of_arrays_and_none(cutouts, tmp_path):
    options, _ = cutouts
    rows = Table.read(options["catalogue"], format="ascii.csv")
    rows["two"], rows["cube"] = np.ones((12, 2)), np.ones((12, 2, 2))
    rows["one"] = np.ones((12, 1))
    rows.write(tmp_path / "c.fits")
    options["catalogue"] = str(tmp_path / "c.fits")
    assert "holds arrays" in refused(**options, targets={"two": TargetOptions()})
    assert "holds arrays" in refused(**options, id="two")
    assert "holds 3-d arrays" in refused(**options, noise="cube")
    assert "holds 1 numbers a row, not one for each of the bands g, r" in refused(**options, noise="one")
    rows["objid", "z"][:0].write(tmp_path / "none.csv")
    assert "none.csv has no rows" in refused(**{**options, "catalogue": str(tmp_path / "none.csv")})
    (tmp_path / "c.txt").touch()
    assert "c.txt: a catalogue is one of .csv, .ecsv" in refused(**{**options, "catalogue": str(tmp_path / "c.txt")})
    rows.rename_column("objid", "galaxy")
    rows["galaxy", "z"].write(tmp_path / "nameless.csv")
    said = refused(**{**options, "catalogue": str(tmp_path / "nameless.csv")})
    assert "has no column object_id, objid or id for the {id} in 'files'; name one as 'id': galaxy, z" in said


@pytest.mark.parametrize("ending", ["csv", "ecsv", "fits", "parquet"])
def test_damaged_catalogues(cutouts, tmp_path, ending):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    options, _ = cutouts
    path = tmp_path / f"damaged.{ending}"
    path.write_text("id,z\n1,2,3,4\n1,2,3\n")
    assert f"{path} is no {ending.upper()} file, or damaged: " in refused(
        **{**options, "catalogue": str(path)}
    ).replace("Parquet", "PARQUET")


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="cannot read it: Is a directory; mend the path, or the file's permissions"):
        refuse_page(tmp_path, "FITS")


def test_numbers_written_as_text(stack):
    with h5py.File(stack["path"], "r+") as file:
        file["depth"] = [b"1.5"] * 12
    assert "holds text, '1.5' for one; name a column of numbers" in refused(**stack, noise="depth")


def test_parquet_without_pyarrow(cutouts, tmp_path, monkeypatch):
    options, _ = cutouts
    (tmp_path / "c.parquet").touch()
    original = builtins.__import__

    def without(name, *more, **keys):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return original(name, *more, **keys)

    monkeypatch.setattr(builtins, "__import__", without)
    said = refused(**{**options, "catalogue": str(tmp_path / "c.parquet")})
    assert "c.parquet: to read Parquet, pip install 'deeplense-surveys[parquet]'" in said


def test_stacks_that_differ(write, make_sky, tmp_path):
    sky = make_sky(bands="gr", size=16, count=12)
    path = write.mmu(sky)
    assert 'has no band "u"; it has decam-g, decam-r' in refused(path=path, bands=("u",))
    with h5py.File(path, "r+") as stack:
        bands = stack["image_band"][:]
        bands[3] = b"decam-z"
        stack["image_band"][:] = bands
    assert "row 4 has other bands than the first" in refused(path=path)
    (tmp_path / "many").mkdir()
    write.mmu(sky, "many/a.h5")
    write.mmu(make_sky(bands="g", size=16, count=12), "many/b.h5")
    assert "b.h5 has another number of bands than" in refused(path=str(tmp_path / "many"))
    with h5py.File(tmp_path / "odd.h5", "w") as stack:
        stack["images"] = np.ones((3, 4))
    assert '"images" is 3 x 4; it must be images x bands x height x width' in refused(path=str(tmp_path / "odd.h5"))
    with h5py.File(tmp_path / "other.h5", "w") as stack:
        stack["flux"] = np.ones((3, 4))
    said = refused(path=str(tmp_path / "other.h5"))
    assert 'no data set "image_array" (multimodal-universe) or "images" (sdss); it has: flux' in said


def test_an_unknown_split(stack):
    with pytest.raises(UserError, match="no split 'valid'; the splits are train, val, test"):
        next(SurveyImages(SurveysOptions(**stack)).samples("valid", 0, 1))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, '"path" is missing'),
        ({"path": "x", "size": 4}, "size"),
        ({"path": "x", "pixel_scale": 0.0}, "pixel_scale"),
        ({"path": "x", "bands": ["g", "g"]}, "'bands' names one twice"),
        ({"path": "x", "fractions": {"training": 1.0}}, "'fractions' has 'training'"),
        ({"path": "x", "fractions": {"val": 0.5}}, "'fractions' needs train"),
        ({"path": "x", "fractions": {"train": 0.9, "test": 0.2}}, "their sum at most 1"),
        ({"path": "x", "targets": {"z": {"unit": "dex", "kind": "class"}}}, "a class has no unit"),
        ({"path": "x", "targets": {"z": {"classes": ["a"]}}}, "a quantity has no classes"),
        ({"path": "x", "targets": {"z": {"colum": "a"}}}, 'did you mean "column"?'),
        ({"path": "x", "layout": "fit"}, 'did you mean "fits"?'),
    ],
)
def test_options_are_checked_with_the_spec(table, said):
    with pytest.raises(SpecError) as told:
        structure_options(SurveysOptions, table, "dataset.surveys")
    assert said in str(told.value)


def test_options_from_toml():
    targets = {"z": {}, "grade": {"kind": "class", "missing": ["?", -1]}}
    options = structure_options(SurveysOptions, {"path": "x", "targets": targets}, "dataset.surveys")
    assert options.targets["grade"] == TargetOptions(kind="class", missing=("?", -1.0))
    assert options.fractions == {"train": 0.8, "val": 0.1, "test": 0.1}
    assert attrs.evolve(options, size=8).size == 8
