"""Tars that webdataset's own writer made: indexed in place or rewritten, refused where they could run code."""

from __future__ import annotations

import io
import pickle
import resource
import sys
import tarfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from webdataset.tariterators import base_plus_ext

from deeplense_registry.components import Target, UserError
from deeplense_registry.shards import ShardSet, manifest_at, materialise, part, tars
from deeplense_registry.shards.atomic import locked
from deeplense_registry.shards.tars import entries, find_tars
from deeplense_registry.spec import Instance, ShardsOptions
from tests.shards.shards_source import Toy, build

Samples = Iterable[dict[str, Any]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPLENSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(path: Path, samples: Samples) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with webdataset.TarWriter(str(path)) as writer:
        for sample in samples:
            writer.write(sample)
    return path


def image(number: int, shape: tuple[int, ...] = (8, 8), dtype: str = "<f4") -> Any:
    return (100 * np.random.default_rng(number).random(shape)).astype(dtype)


def samples(first: int, count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"__key__": f"{n:04d}", "npy": image(n), "cls": n % 3, **more} for n in range(first, first + count)]


def table(path: Path | str, **more: Any) -> Instance:
    options = ShardsOptions(path=str(path), **{"pixel_scale": 0.05, **more})
    return Instance(name="x", use="shards", row=None, options=options)


def adopt(path: Path | str, **more: Any) -> ShardSet:
    return ShardSet.open(materialise(table(path, **more), processes=1))


def test_uniform_tars_are_indexed_where_they_are(tmp_path: Path, cache: Path) -> None:
    data = tmp_path / "sky"
    for number in range(3):
        write(data / f"train-{number}.tar", samples(10 * number, 7))
    write(data / "val-0.tar", samples(90, 4))
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in data.iterdir()}
    heard: list[tuple[int, int | None]] = []
    folder = materialise(table(data), processes=1, progress=lambda *told: heard.append(told))
    assert heard == [(7, 25), (14, 25), (21, 25), (25, 25)]
    assert folder.parent == cache / "shards"
    assert [path.readlink() for path in sorted(folder.glob("*.tar"))] == sorted(data.iterdir())
    shards = ShardSet.open(folder)
    assert (shards.count("train"), shards.counts("val")) == (21, (4,))
    assert shards.card.targets == {"class": Target(classes=("0", "1", "2"))}
    assert (shards.card.name, shards.card.bands, shards.card.pixel_scale) == ("sky", ("channel-1",), 0.05)
    assert shards.names("train")[7] == "train-1/0010"
    order = np.array([20, 0, 8])
    np.testing.assert_array_equal(shards.images("train", order)[:, 0], [image(26), image(0), image(11)])
    assert shards.targets("train", "class")[order].tolist() == [26 % 3, 0, 11 % 3]
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in data.iterdir()} == before
    assert materialise(table(data), processes=1) == folder


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # the library leaves files open
def test_samples_are_those_the_library_reads(tmp_path: Path) -> None:
    more = {"json": {"theta_e": 1.5, "night": "n1"}, "txt": "seen"}
    odd = [{"__key__": "a/b.c", "npy": image(1), "cls": 1}, {"__key__": "__skip__/x", "npy": image(2), "cls": 1}]
    path = write(tmp_path / "data" / "0.tar", [*samples(0, 5, **more), *odd])
    with tarfile.open(path, "a") as archive:
        for name in ("folder", "._junk.npy", "nodot"):
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if name == "folder" else tarfile.REGTYPE
            archive.addfile(info)
    (tar,) = find_tars(str(path))
    theirs = list(webdataset.WebDataset([str(path)], shardshuffle=False))
    ours = entries(tar)
    assert [entry.key for entry in ours] == [row["__key__"] for row in theirs]
    whole = path.read_bytes()
    for entry, row in zip(ours, theirs, strict=True):
        assert {name: whole[at : at + size] for name, (at, size) in entry.members.items()} == {
            name: data for name, data in row.items() if not name.startswith("__")
        }


@given(st.text("ab./_-", min_size=1, max_size=12))
def test_keys_are_split_as_the_library_does(name: str) -> None:
    match = tars._NAMED.fullmatch(name)
    assert (match.groups() if match else (None, None)) == base_plus_ext(name)


def test_half_precision_is_read_in_place(tmp_path: Path) -> None:
    rows = [{"__key__": str(n), "image.npy": image(n, (2, 6, 6), "<f2")} for n in range(4)]
    shards = adopt(write(tmp_path / "data" / "x.tar", rows), bands=("g", "r"))
    assert (shards.manifest.dtype, shards.manifest.image_shape) == ("float16", (2, 6, 6))
    assert (shards.folder / "train-000000.tar").is_symlink()
    np.testing.assert_array_equal(shards.images("train", np.array([3]))[0], image(3, (2, 6, 6), "<f2"))


def fortran(number: int) -> Any:
    return np.asfortranarray(image(number, (2, 8, 8)))


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda n: image(n, (8, 8), "<f8"), (1, 8, 8)),
        (lambda n: image(n, (8, 8), ">f4"), (1, 8, 8)),
        (lambda n: image(n, (8, 8), "u1"), (1, 8, 8)),
        (lambda n: image(n, (8, 8), "<f4" if n % 2 else "<i2"), (1, 8, 8)),
        (lambda n: image(n, (8, 8, 3)), (3, 8, 8)),
        (fortran, (2, 8, 8)),
    ],
)
def test_other_arrays_are_rewritten(make: Any, shape: tuple[int, ...], tmp_path: Path) -> None:
    data = tmp_path / "data"
    for first in (0, 3):
        write(data / f"{first}.tar", [{"__key__": str(n), "npy": make(n)} for n in range(first, first + 3)])
    shards = adopt(data)
    assert not (shards.folder / "train-000000.tar").is_symlink()
    assert shards.manifest.image_shape == shape
    for n in range(6):
        expected = make(n) if make(n).ndim == 2 or shape[0] == 2 else np.moveaxis(make(n), -1, 0)
        np.testing.assert_array_equal(
            shards.images("train", np.array([n]))[0], expected.reshape(shape).astype(np.float32)
        )


def test_rewriting_in_two_processes_keeps_every_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "AIM", 20_000)
    monkeypatch.setattr(part, "LARGEST", 20_000)
    data, first = tmp_path / "data", 0
    for number, count in enumerate((5, 1, 11, 3)):
        write(data / "train" / f"{number}.tar", samples(first, count, **{"meta.json": {"psf": 0.1, "name": "b"}}))
        first += count
    write(data / "test" / "0.tar", samples(50, 2))
    folder = materialise(table(data, classes=("a", "b", "c")), processes=2, folder=tmp_path / "out")
    shards = ShardSet.open(folder)
    assert folder == tmp_path / "out"
    assert shards.counts("train") == (5, 5, 5, 5)
    assert shards.names("train")[[0, 5, 6, 19]].tolist() == [
        "train/0/0000",
        "train/1/0005",
        "train/2/0006",
        "train/3/0019",
    ]
    images = shards.images("train", np.arange(20))
    np.testing.assert_array_equal(images[:, 0], [image(n) for n in range(20)])
    assert shards.card.targets["class"].classes == ("a", "b", "c")
    assert set(shards.meta("train", "psf")) == {0.1}


@pytest.mark.parametrize(
    ("kind", "mode", "bands"), [("png", "RGB", 3), ("png", "L", 1), ("png", "I;16", 1), ("jpg", "L", 1)]
)
def test_pictures_are_rewritten(kind: str, mode: str, bands: int, tmp_path: Path) -> None:
    rows, pixels = [], []
    for n in range(3):
        shape = (9, 7, 3) if bands == 3 else (9, 7)
        array = (image(n, shape) * (600 if mode == "I;16" else 2.5)).astype("u2" if mode == "I;16" else "u1")
        stream = io.BytesIO()
        Image.fromarray(array).save(stream, "PNG" if kind == "png" else "JPEG")
        with Image.open(stream) as read:
            assert read.mode == mode
            pixels.append(np.asarray(read))
        rows.append({"__key__": str(n), kind: stream.getvalue()})
    shards = adopt(write(tmp_path / "data" / "0.tar", rows))
    assert shards.manifest.image_shape == (bands, 9, 7)
    expected = [array.transpose(2, 0, 1) if bands == 3 else array[None] for array in pixels]
    np.testing.assert_array_equal(shards.images("train", np.arange(3)), np.stack(expected).astype(np.float32))


def test_targets_come_from_json(tmp_path: Path) -> None:
    told = [
        {"label": "ring", "theta_e": 1.5, "id": "x1", "boxes": [1], "seen": True, "z": None},
        {"label": "arc", "theta_e": float("nan"), "id": "x2", "z": 2},
        {"theta_e": 2},
    ]
    rows = [{"__key__": str(n), "npy": image(n), "json": one, "mask.npy": image(9)} for n, one in enumerate(told)]
    shards = adopt(write(tmp_path / "data" / "0.tar", rows))
    assert {*shards.card.targets} == {"label", "theta_e", "seen", "z"}
    assert shards.card.targets["label"].classes == ("arc", "ring")
    assert shards.card.about.endswith("Left out: mask.npy.")
    assert shards.targets("train", "label").tolist() == [1, 0, -1]
    np.testing.assert_array_equal(shards.targets("train", "theta_e"), [1.5, np.nan, 2])
    np.testing.assert_array_equal(shards.targets("train", "seen"), [1, np.nan, np.nan])
    np.testing.assert_array_equal(shards.targets("train", "z"), [np.nan, 2, np.nan])
    given = adopt(tmp_path / "data", classes=("ring", "lens", "arc"))
    assert given.targets("train", "label").tolist() == [0, 2, -1]
    assert given.folder != shards.folder


def test_names_of_classes_in_cls(tmp_path: Path) -> None:
    rows = [{"__key__": str(n), "npy": image(n), "cls": name} for n, name in enumerate(("no", "yes", "no"))]
    shards = adopt(write(tmp_path / "data" / "0.tar", rows))
    assert shards.targets("train", "class").tolist() == [0, 1, 0]


def test_our_own_tars_without_their_manifest_are_read(tmp_path: Path) -> None:
    build(tmp_path / "ours", Toy({"train": 6}))
    (tmp_path / "data").mkdir()
    (tmp_path / "ours" / "train-000000.tar").rename(tmp_path / "data" / "train-000000.tar")
    shards = adopt(tmp_path / "data")
    assert shards.targets("train", "class").tolist() == [-1, 1, 2, 0, -1, 2]
    assert shards.names("train")[0] == "train-000000/000000-000000"


def test_a_changed_tar_is_indexed_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "data" / "0.tar", samples(0, 3))
    first = adopt(tmp_path / "data")
    write(path, samples(1, 4))
    second = adopt(tmp_path / "data")
    assert (first.count("train"), second.count("train")) == (3, 4)
    assert first.folder != second.folder


def test_tars_are_found_by_folder_pattern_or_name(tmp_path: Path) -> None:
    for name in ("train/a", "valid/a", "testing/a"):
        write(tmp_path / "deep" / f"{name}.tar", [])
    for number in range(12):
        write(tmp_path / "flat" / f"sky-{number:03d}.tar", [])
    (tmp_path / "flat" / "._sky-000.tar").touch()
    assert [(tar.split, tar.name) for tar in find_tars(str(tmp_path / "deep"))] == [
        ("train", "train/a"),
        ("val", "valid/a"),
        ("test", "testing/a"),
    ]
    assert {tar.split for tar in find_tars(str(tmp_path / "flat"))} == {"train"}
    for pattern, count in (("", 12), ("/sky-{000..004}.tar", 5), ("/*-01*.tar", 2), ("/sky-003.tar", 1)):
        assert len(find_tars(f"{tmp_path}/flat{pattern}")) == count
    assert len(find_tars(f"{tmp_path}/deep/{{train,valid}}/*.tar")) == 2


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("flat/{000..005}.tar", "flat/002.tar is missing, which"),
        ("flat/{0..", "no folder; give the folder that"),
        ("flat/{0...tar", "write braces as in a-{000..009}.tar"),
        ("flat/9*.tar", "has no tars; give their folder, or a pattern such as train-{000..009}.tar"),
        ("mixed", "mixed/0.tar: of which split? Others say; call it train-..., val-... or test-..., or move it"),
        ("dangling", "cannot be read: [Errno 2] No such file or directory"),
        ("empty", "the tars hold no samples; write them anew"),
    ],
)
def test_tars_that_are_not_there(path: str, message: str, tmp_path: Path) -> None:
    for name in ("flat/000", "flat/001", "mixed/0", "mixed/val-0", "empty/0"):
        write(tmp_path / f"{name}.tar", [])
    (tmp_path / "dangling").mkdir()
    (tmp_path / "dangling" / "0.tar").symlink_to(tmp_path / "nowhere.tar")
    with pytest.raises(UserError) as error:
        adopt(tmp_path / path)
    assert message in str(error.value)


@pytest.mark.parametrize("ending", ["pyd", "pickle", "pkl", "pt", "pth", "weights.PTH"])
def test_pickles_are_refused_by_name(ending: str, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return pytest.fail, ("it ran",)

    path = tmp_path / "0.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo(f"a.{ending}")
        data = pickle.dumps(Trap())
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    with pytest.raises(UserError) as error:
        adopt(path)
    assert str(error.value) == f"{path}: a.{ending} is refused: a pickle can run code; write arrays as .npy"


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def png(array: Any, mode: str | None = None) -> bytes:
    stream = io.BytesIO()
    picture = Image.fromarray(array)
    (picture.convert(mode) if mode else picture).save(stream, "PNG")
    return stream.getvalue()


BLACK = np.zeros((8, 8), "<f4")
HOLED = np.where(np.eye(8), np.nan, 1).astype("<f4")
PICTURE = png(image(1, (40, 40), "u1"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"npy": npy(np.array([[{}]], object))}, "b.npy holds Python objects, which is a pickle and is refused"),
        ({"npy": npy(image(1))[:-4]}, "b.npy is damaged: 380 bytes for float32 (8, 8); write the tar anew"),
        ({"npy": b"junk"}, "b.npy is damaged: "),
        ({"npy": npy(image(1, (4, 8)))}, "images are of several shapes: (1, 8, 8) in "),
        ({"npy": npy(image(1, (64,)))}, "b.npy is float32 (64,); an image has 2 or 3 axes of numbers"),
        ({"npy": npy(np.full((8, 8), "x"))}, "b.npy is <U1 (8, 8); an image has 2 or 3 axes of numbers"),
        ({"npy": npy(BLACK)}, "every pixel of the image is 0; leave the image out"),
        ({"npy": npy(HOLED)}, "the image has NaN or infinite pixels; mend or leave out the image"),
        ({"npy": None, "txt": b"x"}, "b has no image but: cls, txt; known are image.npy, npy, "),
        ({"npy": None, "png": b"junk"}, "b.png is damaged: cannot identify image file"),
        ({"npy": None, "png": PICTURE[:-300]}, "b.png is damaged: "),
        (
            {"npy": None, "png": png(image(1, (8, 8), "u1"), "P")},
            "b.png has mode P; known are L, I;16, I, F, RGB, RGBA",
        ),
        ({"json": b"{"}, "b.json is damaged: "),
        ({"json": b"[1]"}, "b.json holds no object of names and values; write one, or none"),
        ({"cls": b"x"}, "'class' is a number in some samples and text in others; make it one of them"),
        ({"json": b'{"class": 1.5}', "cls": None}, "'class' holds fractions; a class is a whole number or a name"),
        ({"cls": b"123456"}, "'class' goes up to 123456: no class but a number; call it otherwise"),
        ({"json": b'{"class": -2}', "cls": None}, "target 'class' is -2; a class is an index from 0 to 0"),
    ],
)
def test_bad_members_are_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    size = (40, 40) if change.get("png") == PICTURE[:-300] else (8, 8)
    good = {"__key__": "a", "npy": npy(image(0, size)), "cls": b"0"}
    bad = {name: data for name, data in {**good, "__key__": "b", **change}.items() if data is not None}
    path = write(tmp_path / "data" / "0.tar", [good, bad])
    with pytest.raises(UserError) as error:
        adopt(path)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"pixel_scale": None}, "has tars without a manifest: give pixel_scale, in arcseconds per pixel"),
        ({"bands": ("g", "r")}, "images have 1 bands, and 2 are named; name each"),
        ({"classes": ("a", "b")}, "'class' goes up to 2, and classes names 2; name each"),
    ],
)
def test_descriptions_that_do_not_fit(more: dict[str, Any], message: str, tmp_path: Path) -> None:
    write(tmp_path / "data" / "0.tar", samples(0, 3))
    with pytest.raises(UserError, match=message):
        adopt(tmp_path / "data", **more)


def test_a_class_that_is_not_named(tmp_path: Path) -> None:
    write(tmp_path / "data" / "0.tar", [{"__key__": "a", "npy": image(0), "cls": "ring"}])
    with pytest.raises(UserError, match="'class' holds 'ring', which classes does not name"):
        adopt(tmp_path / "data", classes=("arc",))


def damaged(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 255
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b""), "is no tar, or a damaged one: "),
        (lambda path: path.write_bytes(b"<html>" * 200), "is no tar, or a damaged one: "),
        (
            lambda path: path.write_bytes(path.read_bytes()[:2900]),
            "is no tar, or a damaged one: unexpected end of data",
        ),
        (lambda path: path.write_bytes(path.read_bytes()[:3300]), "is damaged; copy the tar anew"),
        (lambda path: damaged(path, 3072), "the tar header at byte 3072 is damaged; copy the tar anew"),
    ],
)
def test_damaged_tars_are_told(damage: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "0.tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for n in range(4):  # 1024 bytes each, header included
            info = tarfile.TarInfo(f"{n}.npy")
            info.size = 384
            archive.addfile(info, io.BytesIO(npy(image(n))))
    damage(path)
    with pytest.raises(UserError) as error:
        adopt(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_a_member_that_comes_twice_is_told(tmp_path: Path) -> None:
    path = tmp_path / "0.tar"
    with tarfile.open(path, "w") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("a.npy"))
    with pytest.raises(UserError, match=r"a\.npy comes twice in one sample; write the tar anew"):
        adopt(path)


def test_without_pillow_pictures_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "0.tar", [{"__key__": "a", "png": PICTURE}])
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(UserError) as error:
        adopt(path)
    assert str(error.value) == f"{path}: a.png is a picture: pip install pillow"


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, cache: Path) -> None:
    path = write(tmp_path / "data" / "0.tar", samples(0, 200))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        with pytest.raises(
            UserError, match=r"cannot write the index: .*File too large; make room or set DEEPLENSE_CACHE"
        ):
            adopt(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert adopt(path).count("train") == 200


def test_who_waited_for_another_run_takes_its_index(tmp_path: Path) -> None:
    write(tmp_path / "data" / "0.tar", samples(0, 3))
    folder = adopt(tmp_path / "data").folder
    manifest, index = folder / "manifest.json", folder / "train-000000.npz"
    published, time = manifest.read_bytes(), index.stat().st_mtime_ns
    with ThreadPoolExecutor(1) as pool, locked(folder / ".lock"):
        manifest.unlink()
        waiting = pool.submit(adopt, tmp_path / "data")
        with pytest.raises(TimeoutError):
            waiting.result(0.5)
        manifest.write_bytes(published)
    assert waiting.result().folder == folder
    assert index.stat().st_mtime_ns == time


def test_what_is_known_before(tmp_path: Path) -> None:
    write(tmp_path / "data" / "0.tar", samples(0, 3))
    assert manifest_at(str(tmp_path / "data")) is None
    manifest = build(tmp_path / "ours", Toy({"train": 6}))
    assert manifest_at(f"file://{tmp_path}/ours") == manifest
    (tmp_path / "ours" / "manifest.json").unlink()
    for leftover in (".lock", "train-000000.npz"):
        with pytest.raises(UserError, match="a build was interrupted"):
            manifest_at(str(tmp_path / "ours"))
        (tmp_path / "ours" / leftover).unlink()
    assert manifest_at(str(tmp_path / "ours")) is None
