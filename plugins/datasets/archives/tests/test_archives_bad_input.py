"""What cannot be used is named, and stops the reading or is left out, as the options say."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from deeplense_archives.decode import Form, decode
from deeplense_archives.source import Archives
from deeplense_archives.unpickle import unpickle
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from deeplense_registry import ImageShape, UserError
from deeplense_registry.components import find, load_factory, load_options

SIDE = 12
BAD = "Model_II/cdm/bad.npy"


@pytest.fixture
def open_archive(tmp_path, model, pack, options):
    """Model II with other files, opened."""

    def open_archive(more, ending=".tgz", data=None, **table):
        files = {**model(count=4)[0], **more}
        path = pack(tmp_path / f"Model_II{ending}", files)
        if data is not None:
            path.write_bytes(data(path.read_bytes()))
        return Archives(options(path=str(path), **table))

    return open_archive


def image(seed=0, shape=(SIDE, SIDE)):
    return np.random.default_rng(seed).random(shape)


class Malicious:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, npy, pair, open_archive):
    bad = pair(image(), 1e-23)
    bad[1] = Malicious(tmp_path / "pwned")
    with pytest.raises(UserError, match=r"bad.npy its pickle calls \w+.mkdir, which is refused"):
        open_archive({BAD.replace("cdm", "axion"): npy(bad)}).card()
    (tmp_path / "indices.pkl").write_bytes(pickle.dumps({"train": Malicious(tmp_path / "pwned")}))
    with pytest.raises(UserError, match=r"indices.pkl: its pickle calls"):
        open_archive({}, indices=str(tmp_path / "indices.pkl")).card()
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "code",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy.core.multiarray\nfromfile\n.",
        b"cnumpy.lib.format\nopen_memmap\n.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"cdeeplense_archives.unpickle\nunpickle\n.",
        b"cnumpy\nndarray.tofile\n.",
        b"P1\n.",
    ],
)
def test_nothing_but_numbers_is_unpickled(code):
    with pytest.raises(UserError, match=r"refused|damaged"):
        unpickle(code)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_numbers_survive_the_unpickler(protocol):
    value = {"a": [np.float64(1.5), np.arange(6).reshape(2, 3), "x"], "b": np.array(["p", "qq"]), "c": (None, True)}
    again = unpickle(pickle.dumps(value, protocol))
    np.testing.assert_equal(again, value)
    assert unpickle(pickle.dumps(value, protocol).replace(b"cnumpy._core.", b"cnumpy.core."))["a"][0] == 1.5


def test_types_as_numpy_1_wrote_them():
    old = b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb."
    assert unpickle(old) == np.dtype("<f8")


@pytest.mark.parametrize(("ending", "cut"), [(".tgz", 0.6), (".tar", 0.6), (".zip", 0.6), (".tgz", 0.0)])
def test_a_truncated_archive_stops(open_archive, ending, cut):
    archive = open_archive({}, ending, lambda data: data[: int(cut * len(data))], broken="skip")
    with pytest.raises(UserError, match=rf"Model_II{ending} is truncated or damaged .*download it again"):
        archive.card()


def test_a_tar_cut_between_two_members_is_truncated(open_archive):
    with pytest.raises(UserError, match=r"Model_II.tar is truncated or damaged"):
        open_archive({}, ".tar", lambda data: data[: data.index(b"Model_II/no_sub/")]).card()


def npy_of_records():
    stream = io.BytesIO()
    np.save(stream, np.zeros(2, [("a", "f8"), ("b", object)]))
    return stream.getvalue()


def bad_files(npy, pair):
    nan = image()
    nan[3, 4] = np.nan
    return {
        "wrong shape": (
            npy(image(1, (SIDE, SIDE + 1))),
            r"bad.npy has shape \(1, 12, 13\); the others have \(1, 12, 12\)",
        ),
        "nan": (npy(nan), "bad.npy has 1 pixels that are NaN, infinite or beyond float32"),
        "beyond": (npy(image() * 1e300), "bad.npy has 144 pixels that are NaN, infinite or beyond float32"),
        "constant": (npy(np.zeros((SIDE, SIDE))), "bad.npy has 0 in every pixel"),
        "truncated": (npy(image())[:-8], "bad.npy is truncated: 1272 bytes instead of 1280"),
        "long": (npy(image()) + b"12345678", "bad.npy is too long: 1288 bytes instead of 1280"),
        "no array": (b"<html>not found</html>", "bad.npy is no .npy file of numbers"),
        "empty": (b"", "bad.npy is no .npy file of numbers"),
        "words": (npy(np.array(["a", "b"])), "bad.npy holds <U1, not numbers"),
        "records": (npy(np.zeros(2, [("a", "f8")])), r"bad.npy holds .*not numbers"),
        "mixed records": (npy_of_records(), "bad.npy holds records"),
        "empty pair": (npy(pair(np.empty((0, 3)), 1.0)), r"bad.npy has shape \(1, 0, 3\), which is no image"),
        "vector": (npy(np.arange(5.0)), r"bad.npy has shape \(5,\), which is no image"),
        "triple": (npy(np.array([1, "a", None], object)), r"bad.npy holds an array of shape \(3,\) of objects"),
        "no image": (npy(pair("word", 1.0)), "bad.npy holds <U4 in place of an image"),
        "no mass": (npy(pair(image(2), "heavy")), "bad.npy holds str in place of a mass"),
        "flat pair": (npy(pair(np.arange(3.0), 1.0)), r"bad.npy has shape \(3,\), which is no image"),
        "cut pickle": (npy(pair(image(2), 1.0))[:-40], "bad.npy its pickle is damaged"),
        "fortran stack": (npy(np.asfortranarray(image(3, (5, 1, SIDE, SIDE)))), "bad.npy is a stack in Fortran order"),
    }


@pytest.mark.parametrize("which", list(bad_files(lambda _: b"", lambda *_: b"")))
def test_a_bad_file_is_named_and_stops_or_is_left_out(open_archive, npy, pair, which):
    data, message = bad_files(npy, pair)[which]
    with pytest.raises(UserError, match=rf"Model_II.tgz: 1 found that cannot be used.*\n.*{message}"):
        open_archive({BAD: data}).card()
    archive = open_archive({BAD: data}, broken="skip")
    with pytest.warns(UserWarning, match=message):
        card = archive.card()
    assert sum(card.splits.values()) == 12
    assert sum(1 for split in card.splits for _ in archive.samples(split, 0, 1)) == 12


@pytest.mark.parametrize("mode", ["RGBA", None])
def test_a_picture_that_cannot_be_used(open_archive, mode):
    stream = io.BytesIO(b"\x89PNG\r\n")
    if mode:
        Image.new(mode, (SIDE, SIDE)).save(stream, "png")
    message = "picture of mode RGBA" if mode else "damaged picture"
    with pytest.raises(UserError, match=rf"bad.png is a {message}"):
        open_archive({"Model_II/cdm/bad.png": stream.getvalue()}).card()


def test_labels_cut_off(tmp_path, npy, pack, options):
    files = {"X.npy": npy(image(0, (4, 1, SIDE, SIDE))), "y.npy": npy(np.arange(4))[:-8]}
    with pytest.raises(UserError, match=r"y.npy is truncated or too long: 24 bytes of labels instead of 32"):
        Archives(options(path=str(pack(tmp_path / "s", files)))).card()


def test_a_damaged_member_of_a_zip_is_one_bad_file(open_archive, npy):
    marked = np.frombuffer(b"0123456789abcdef" * 72)
    data = npy(marked.reshape(SIDE, SIDE))

    def spoil(archive):
        at = archive.index(BAD.encode()) + len(BAD)
        return archive[: at + 60] + b"\xff" * 8 + archive[at + 68 :]

    with pytest.warns(UserWarning, match=r"bad.npy is damaged"):
        open_archive({BAD: data}, ".zip", spoil, broken="skip").card()


def test_an_unknown_class_folder(open_archive, npy):
    more = {f"Model_II/wdm/{n}.npy": npy(image(n)) for n in range(3)}
    with pytest.raises(UserError, match=r"the folder 'wdm' with 3 images is no known class .*classes = \[...\]"):
        open_archive(more).card()
    with pytest.warns(UserWarning, match="'wdm' with 3 images"):
        assert sum(open_archive(more, broken="skip").card().splits.values()) == 12
    with pytest.raises(UserError, match=r"'wdm' with 3 images is none of classes = \['axion', 'cdm', 'no_sub'\]"):
        open_archive(more, classes=("axion", "cdm", "no_sub")).card()


def test_an_axion_mass_without_logarithm(open_archive, npy, pair):
    with pytest.raises(UserError, match=r"bad.npy has the axion mass 0 eV; it must be positive"):
        open_archive({"Model_II/axion/bad.npy": npy(pair(image(5), 0.0))}).card()


def test_many_problems_are_counted(open_archive):
    with pytest.raises(UserError, match=r"(?s)7 found.*and 2 more"):
        open_archive({f"Model_II/cdm/{n}.npy": b"" for n in range(7)}).card()


def test_no_images(tmp_path, pack, options):
    pack(tmp_path / "downloads", {"Model_II.tgz": b"x", "README.txt": b"y"})
    with pytest.raises(UserError, match=r"downloads: no images .*it holds Model_II.tgz: give that as the path"):
        Archives(options(path=str(tmp_path / "downloads"))).card()
    with pytest.raises(UserError, match=r"empty.zip: no images"):
        Archives(options(path=str(pack(tmp_path / "empty.zip", {"a.txt": b""})))).card()


@pytest.mark.parametrize(("name", "message"), [("no.tgz", "there is no such file"), ("a.rar", "is no archive")])
def test_no_archive(tmp_path, options, name, message):
    (tmp_path / "a.rar").write_bytes(b"")
    chosen = options(path=str(tmp_path / name))
    with pytest.raises(UserError, match=message):
        Archives(chosen).card()
    if name == "no.tgz":
        assert chosen.facts() is None


def test_duplicates_across_splits_are_told(tmp_path, model, pack, options):
    train, images, _ = model(count=4)
    test = {
        name.replace("Model_II/", "Model_II_test/").replace("_sim_", "_again_"): train[name] for name in list(train)[:3]
    }
    archive = Archives(options(path=str(pack(tmp_path / "Model_II.tgz", train)), val_fraction=0.0))
    pack(tmp_path / "Model_II_test.tgz", test)
    first = next(iter(images))
    with pytest.warns(
        UserWarning, match=rf"3 images of split 'test' are also in split 'train'.*_again_\d+.npy = {first}"
    ):
        archive.card()


def test_two_test_sets(tmp_path, npy, pack, options):
    files = {f"{split}/cdm/{n}.npy": npy(image(n)) for split in ("train", "test") for n in range(2)}
    pack(tmp_path / "a", files)
    pack(tmp_path / "b", {"cdm/1.npy": npy(image(8))})
    with pytest.raises(UserError, match="has test images of its own"):
        Archives(options(path=str(tmp_path / "a"), test=str(tmp_path / "b"))).card()


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({"train": {"lenses": ["9.npy"]}}, "'9.npy' of split 'train' is not in the archive"),
        ({"train": {"lenses": ["1.npy"]}, "test": {"lenses": ["1.npy"]}}, "'1.npy' is in two splits"),
        ({"train": ["1.npy"]}, "names 2 files of the archive"),
        ({"train": {"rings": ["1.npy"]}}, "'rings' is neither a split nor a class"),
        ({"train": {"lenses": [1, 2]}}, "does not list file names"),
        ([1, 2], "holds no index"),
    ],
)
def test_bad_index_files(tmp_path, npy, pack, options, index, message):
    files = {
        f"{folder}/{n}.npy": npy(image(n, (3, SIDE, SIDE))) for folder in ("lenses", "nonlenses") for n in range(3)
    }
    (tmp_path / "index.pkl").write_bytes(pickle.dumps(index))
    with pytest.raises(UserError, match=message):
        Archives(options(path=str(pack(tmp_path / "real", files)), indices=str(tmp_path / "index.pkl"))).card()


def test_index_files_that_cannot_be_read(tmp_path, open_archive):
    with pytest.raises(UserError, match=r"none.json: cannot read the index file"):
        open_archive({}, indices=str(tmp_path / "none.json")).card()
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(UserError, match=r"bad.json is no JSON"):
        open_archive({}, indices=str(tmp_path / "bad.json")).card()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.arange(3), "y_train.npy has 3 labels for the 4 images of"),
        (np.zeros((4, 2)), r"y_train.npy has shape \(4, 2\); labels have shape"),
        (np.array([0, 1, 2, 5]), "y_train.npy has the label 5; classes names 3, from 0"),
    ],
)
def test_bad_labels(tmp_path, npy, pack, options, labels, message):
    files = {"X_train.npy": npy(image(0, (4, 1, SIDE, SIDE))), "y_train.npy": npy(labels)}
    with pytest.raises(UserError, match=message):
        Archives(options(path=str(pack(tmp_path / "s", files)), classes=("a", "b", "c"))).card()
    with pytest.raises(UserError, match="holds labels, and there is no stack"):
        Archives(
            options(
                path=str(
                    pack(
                        tmp_path / "t", {"y.npy": npy(labels[:3])} if labels.ndim < 2 else {"y.npy": npy(np.arange(2))}
                    )
                )
            )
        ).card()


def test_files_that_change_in_between_are_noticed(tmp_path, model, pack, options, npy):
    files, _, _ = model(count=4)
    path = pack(tmp_path / "Model_II", files)
    archive = Archives(options(path=str(path), val_fraction=0.0))
    archive.card()
    name = next(name for name in files if "no_sub" in name)
    (path / name).write_bytes(npy(image(77)))
    with pytest.raises(UserError, match=r"has changed while the archive was read"):
        list(archive.samples("train", 0, 1))
    (path / name).write_bytes(npy(image(77))[:-8])
    with pytest.raises(UserError, match=r"cannot be read any more \(is truncated"):
        list(archive.samples("train", 0, 1))
    (path / name).unlink()
    with pytest.raises(UserError, match=r"cannot be read any more"):
        list(archive.samples("train", 0, 1))
    with pytest.raises(UserError, match="no split 'valid'; the splits are train"):
        list(archive.samples("valid", 0, 1))


def test_an_archive_cut_after_it_was_read(open_archive):
    archive = open_archive({})
    archive.card()
    path = Path(archive.options.path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match="is truncated or damaged"):
        list(archive.samples("train", 0, 1))


def test_facts_are_known_once_the_archive_was_read(open_archive):
    archive = open_archive({})
    assert archive.options.facts() is None
    card = archive.card()
    facts = archive.options.facts()
    assert (facts.shape, facts.images, facts.targets) == (ImageShape(1, SIDE, SIDE), card.splits, card.targets)


def test_bands_must_have_names(tmp_path, npy, pack, options):
    path = str(pack(tmp_path / "five", {f"cdm/{n}.npy": npy(image(n, (5, SIDE, SIDE))) for n in range(3)}))
    with pytest.raises(UserError, match="have 5 bands; name them"):
        Archives(options(path=path)).card()
    with pytest.raises(UserError, match="2 bands named, the images have 5"):
        Archives(options(path=path, bands=("u", "g"))).card()


def test_a_cache_that_cannot_be_written(open_archive, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DEEPLENSE_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot write .*set DEEPLENSE_CACHE"):
        open_archive({}).card()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"val_fraction": 1.0}, "val_fraction"),
        ({"val_fraction": 0.5, "test_fraction": 0.5}, "leave no training images"),
        ({"classes": ("a", "a")}, "names a class twice"),
        ({"pixel_scale": 0.0}, "pixel_scale"),
    ],
)
def test_options_out_of_range(options, wrong, message):
    with pytest.raises(ValueError, match=message):
        options(path="x", **wrong)


def test_the_plugin_is_found_and_light():
    row = find("dataset", "archives")
    assert load_factory(row) is Archives
    assert load_options(row)(path="here").path.endswith("/here")
    code = "import sys, deeplense_archives.options; sys.exit('torch' in sys.modules or 'PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(
    arrays.arrays(
        st.sampled_from(["<f4", ">f8", "u1", "<i8", "<u2"]), (5, 7), elements=st.integers(0, 200), fill=st.nothing()
    )
)
def test_pixels_are_unchanged(pixels):
    if pixels.min() == pixels.max():
        return
    form = Form("array", pixels.dtype.str, pixels.shape)
    np.testing.assert_array_equal(decode(form, pixels.tobytes()).image[0], pixels)
