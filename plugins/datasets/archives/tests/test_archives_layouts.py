"""Every published layout goes to shards: counts, classes, masses, and pixels as they were."""

from __future__ import annotations

import io
import json
import pickle

import numpy as np
import pytest
from deeplense_archives.containers import Tar
from PIL import Image

from deeplense_registry.cli import main
from deeplense_registry.spec import expand, load_spec

SIDE = 12


def content(shards, split):
    """{name: (image, targets)} of a split."""
    names = shards.names(split)
    images = shards.images(split, np.arange(len(names)))
    targets = {name: shards.targets(split, name) for name in shards.card.targets}
    return {
        str(name): (image, {key: column[n] for key, column in targets.items()})
        for n, (name, image) in enumerate(zip(names, images, strict=True))
    }


def everything(shards):
    return {name: one for split in shards.card.splits for name, one in content(shards, split).items()}


@pytest.mark.parametrize(
    ("ending", "old"),
    [("", True), (".tgz", True), (".tgz", False), (".tar.gz", False), (".tar", True), (".zip", False)],
)
def test_models_one_to_three(tmp_path, model, pack, build, ending, old):
    train, images, masses = model("Model_II", old=old)
    test, test_images, test_masses = model("Model_II_test", count=4, old=old)
    inside = {"": 1} if ending == "" else {}
    for top, files in (("Model_II", train), ("Model_II_test", test)):
        files = {name.split("/", 1)[1] if inside else name: data for name, data in files.items()}
        pack(tmp_path / f"{top}{ending}", files)
    shards = build(path=str(tmp_path / f"Model_II{ending}"))
    assert shards.card.splits == {"train": 27, "val": 3, "test": 12}
    assert shards.card.targets["class"].classes == ("axion", "cdm", "no_sub")
    assert shards.card.targets["log10_axion_mass"].unit == "dex"
    assert shards.card.pixel_scale == 0.101
    found = everything(shards)
    whole = {**images, **test_images}
    assert len(found) == len(whole)
    for name, image in whole.items():
        key = name.split("/", 1)[1] if inside else name
        pixels, targets = found[key]
        np.testing.assert_array_equal(pixels, image.astype(np.float32)[None])
        label = name.split("/")[1]
        assert shards.card.targets["class"].classes[targets["class"]] == label
        mass = {**masses, **test_masses}.get(name)
        expected = np.nan if mass is None else np.log10(mass)
        np.testing.assert_allclose(targets["log10_axion_mass"], expected, rtol=1e-15)


def test_counts_of_model_one_are_exact(tmp_path, model, pack, build):
    files, images, _ = model("Model_I", counts=True)
    shards = build(path=str(pack(tmp_path / "Model_I.tgz", files)))
    found = everything(shards)
    assert shards.card.pixel_scale == 0.05
    assert "2^24" not in shards.card.about
    assert all(np.array_equal(found[name][0][0].astype(np.int64), image) for name, image in images.items())
    assert "No official validation split: 3 training images" in shards.card.about
    assert "no test split" in shards.card.about


def test_counts_beyond_float32_are_told(tmp_path, npy, pack, build, model):
    files, _, _ = model("Model_I", counts=True)
    image = np.full((SIDE, SIDE), 2**24 + 1)
    image[0, 0] = 3
    files["Model_I/cdm/bright.npy"] = npy(image)
    shards = build(path=str(pack(tmp_path / "Model_I.tgz", files)))
    assert "1 images have whole numbers beyond 2^24" in shards.card.about


@pytest.mark.parametrize("shape", [(1, SIDE, SIDE), (SIDE, SIDE, 1), (SIDE, SIDE, 3), (3, SIDE, SIDE), (SIDE, SIDE)])
def test_model_four_in_every_placement(tmp_path, npy, pair, pack, build, shape):
    rng = np.random.default_rng(1)
    files, images = {}, {}
    for split in ("train", "val"):
        for folder in ("no", "cdm", "axion"):
            for number in range(4):
                name = f"Model_IV/{split}/{folder}/sim_{number}.npy"
                images[name] = rng.random(shape)
                files[name] = npy(pair(images[name], 1e-23) if folder == "axion" and number else images[name])
    shards = build(path=str(pack(tmp_path / "Model_IV.tgz", files)))
    assert shards.card.splits == {"train": 12, "val": 12}
    assert shards.card.bands == (("g", "r", "i") if 3 in shape else ("grey",))
    axis = 2 if len(shape) == 3 and shape[2] < SIDE else 0
    for name, (pixels, targets) in everything(shards).items():
        image = images[name] if len(shape) == 3 else images[name][None]
        np.testing.assert_array_equal(pixels, np.moveaxis(image, axis, 0).astype(np.float32))
        massive = "axion" in name and "sim_0" not in name
        assert targets["log10_axion_mass"] == pytest.approx(-23) if massive else np.isnan(targets["log10_axion_mass"])
        assert targets["class"] == {"axion": 0, "cdm": 1, "no": 2}[name.split("/")[2]]


def test_common_test(tmp_path, npy, pack, build):
    rng = np.random.default_rng(2)
    files = {
        f"dataset/{split}/{folder}/{number}.npy": npy(rng.random((1, SIDE, SIDE)))
        for split, count in (("train", 8), ("val", 2))
        for folder in ("no", "sphere", "vort")
        for number in range(count)
    }
    path = str(pack(tmp_path / "dataset.zip", files))
    shards = build(path=path)
    assert shards.card.splits == {"train": 24, "val": 6}
    assert shards.card.targets["class"].classes == ("axion", "cdm", "no_sub")
    assert {name.split("/")[2]: int(t["class"]) for name, (_, t) in everything(shards).items()} == {
        "vort": 0,
        "sphere": 1,
        "no": 2,
    }
    assert "pixel scale is not known" in shards.card.about
    held = build(path=path, test_fraction=0.25, pixel_scale=0.05)
    assert held.card.splits == {"train": 18, "val": 6, "test": 6}
    assert held.card.pixel_scale == 0.05


def test_learning_mass(tmp_path, npy, pair, pack, build):
    rng = np.random.default_rng(3)
    masses = {f"lens_data/{number}.npy": float(rng.random()) for number in range(20)}
    files = {name: npy(pair(rng.random((SIDE, SIDE)), mass)) for name, mass in masses.items()}
    shards = build(path=str(pack(tmp_path / "lens_data.tgz", files)))
    assert shards.card.splits == {"train": 18, "val": 2}
    assert set(shards.card.targets) == {"mass"}
    assert {name: targets["mass"] for name, (_, targets) in everything(shards).items()} == masses


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_pictures(tmp_path, pack, build, kind):
    rng = np.random.default_rng(4)
    files, images = {}, {}
    for folder in ("no_sub", "sub"):
        for number in range(10):
            stream = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (SIDE, SIDE), np.uint8)).save(stream, kind)
            name = f"lenses/{folder}/image{number}.{kind.removesuffix('eg') + ('g' if kind == 'jpeg' else '')}"
            files[name] = stream.getvalue()
            images[name] = np.asarray(Image.open(stream))
    shards = build(path=str(pack(tmp_path / "lenses.tgz", files)))
    assert shards.card.targets["class"].classes == ("cdm", "no_sub")
    assert shards.card.splits == {"train": 18, "val": 2}
    assert all(np.array_equal(pixels[0], images[name]) for name, (pixels, _) in everything(shards).items())


def test_lens_finding(tmp_path, npy, pack, build):
    rng = np.random.default_rng(5)
    counts = {"train_lenses": 10, "train_nonlenses": 30, "test_lenses": 2, "test_nonlenses": 6}
    files = {
        f"{folder}/{number}.npy": npy(rng.random((3, SIDE, SIDE)))
        for folder, count in counts.items()
        for number in range(count)
    }
    shards = build(path=str(pack(tmp_path / "lens-finding-test", files)))
    assert shards.card.splits == {"train": 36, "val": 4, "test": 8}
    assert shards.card.targets["class"].classes == ("lenses", "nonlenses")
    assert np.bincount(shards.targets("val", "class")).tolist() == [1, 3]
    assert np.bincount(shards.targets("test", "class")).tolist() == [2, 6]


@pytest.mark.parametrize("kind", ["pkl", "json"])
@pytest.mark.parametrize("inside", [True, False])
def test_real_lenses(tmp_path, npy, pack, build, kind, inside):
    rng = np.random.default_rng(6)
    names = [f"{number}.npy" for number in range(6)]  # the same names in both folders, as published
    files = {
        f"real/{folder}/{name}": npy(rng.random((3, SIDE, SIDE)))
        for folder in ("lenses", "nonlenses")
        for name in names
    }
    index = {
        "train": {"lenses": names[:4], "nonlenses": names[1:4]},
        "test": {"lenses": names[4:], "nonlenses": names[:1]},
    }
    if kind == "pkl":
        index["train"]["lenses"] = np.array(index["train"]["lenses"], dtype=object)
    data = json.dumps(index).encode() if kind == "json" else pickle.dumps(index, 5)
    options = {}
    if inside:
        files[f"real/indices.{kind}"] = data
    else:
        options["indices"] = str(tmp_path / f"some.{kind}")
        (tmp_path / f"some.{kind}").write_bytes(data)
    shards = build(path=str(pack(tmp_path / "real.zip", files)), val_fraction=0.3, **options)
    assert shards.card.splits == {"train": 5, "val": 2, "test": 3}
    assert "leaves out 2 images" in shards.card.about
    assert set(content(shards, "test")) == {"real/lenses/4.npy", "real/lenses/5.npy", "real/nonlenses/0.npy"}
    assert shards.card.bands == ("g", "r", "i")


def test_few_label_index_files_are_training_images(tmp_path, npy, pack, build):
    rng = np.random.default_rng(6)
    files = {
        f"{folder}/{n}.npy": npy(rng.random((3, SIDE, SIDE))) for folder in ("lenses", "nonlenses") for n in range(5)
    }
    (tmp_path / "train_indices_4.pkl").write_bytes(pickle.dumps({"lenses": ["1.npy", "3.npy"], "nonlenses": ["0.npy"]}))
    shards = build(path=str(pack(tmp_path / "real", files)), indices=str(tmp_path / "train_indices_4.pkl"))
    assert list(shards.names("train")) == ["lenses/1.npy", "lenses/3.npy", "nonlenses/0.npy"]


@pytest.mark.parametrize(("ending", "dtype"), [("", "uint16"), (".tgz", "float64"), (".zip", "uint16")])
def test_stacks_with_labels(tmp_path, npy, pack, build, ending, dtype):
    rng = np.random.default_rng(7)
    stacks = {
        split: rng.integers(0, 2**16, (n, 1, SIDE, SIDE)).astype(dtype) for split, n in (("train", 20), ("test", 6))
    }
    labels = {split: rng.permutation(np.arange(len(stack)) % 2)[:, None] for split, stack in stacks.items()}
    files = {f"Model_F/X_{split}.npy": npy(stack) for split, stack in stacks.items()}
    files |= {f"Model_F/y_{split}.npy": npy(values) for split, values in labels.items()}
    path = str(pack(tmp_path / f"Model_F{ending}", files))
    shards = build(path=path)
    assert shards.card.splits == {"train": 18, "val": 2, "test": 6}
    assert shards.card.targets["class"].classes == ("0", "1")
    for name, (pixels, targets) in everything(shards).items():
        split, row = name.partition("X_")[2].split(".")[0], int(name.partition("[")[2][:-1])
        np.testing.assert_array_equal(pixels, stacks[split][row].astype(np.float32))
        assert targets["class"] == labels[split][row]
    named = build(path=path, classes=("none", "vortex", "sphere"))
    assert named.card.targets["class"].classes == ("none", "vortex", "sphere")


def test_stacks_of_batches_and_quantities(tmp_path, npy, pack, build):
    rng = np.random.default_rng(8)
    stack, masses = rng.random((3, 5, 1, SIDE, SIDE)), rng.random(15)
    files = {
        "images.npy": npy(stack),
        "labels.npy": npy(masses),
        "flat/data.npy": npy(rng.random((20, 30, 30))[:, :SIDE, :SIDE]),
    }
    shards = build(path=str(pack(tmp_path / "stacks", files)), val_fraction=0.0)
    assert shards.card.splits == {"train": 35}
    found = everything(shards)
    for number in range(15):
        pixels, targets = found[f"images.npy[{number}]"]
        np.testing.assert_array_equal(pixels, stack.reshape(15, 1, SIDE, SIDE)[number].astype(np.float32))
        assert targets["label"] == masses[number]


def test_class_folders_of_ones_own(tmp_path, npy, pack, build):
    rng = np.random.default_rng(9)
    files = {f"{folder}/{n}.npy": npy(rng.random((2, SIDE, SIDE))) for folder in ("Spiral", "Arc") for n in range(5)}
    shards = build(
        path=str(pack(tmp_path / "mine", files)), classes=("spiral", "arc"), bands=("y", "j"), val_fraction=0.0
    )
    assert shards.card.targets["class"].classes == ("spiral", "arc")
    assert shards.targets("train", "class").tolist() == [1] * 5 + [0] * 5
    assert shards.card.bands == ("y", "j")


def test_two_processes_write_the_same_bytes_and_unpack_once_a_split(tmp_path, model, pack, build, monkeypatch):
    files, _, _ = model()
    path = str(pack(tmp_path / "Model_II.tgz", files))
    opened = []
    once = Tar._opened
    monkeypatch.setattr(Tar, "_opened", lambda self: opened.append(self.path) or once(self))
    monkeypatch.setattr("deeplense_registry.shards.part.AIM", 2**15)
    one = build(path=path)
    assert len(one.manifest.splits["train"]) > 2
    assert len(opened) == 3  # what is there, train, val
    two = build(path=path, processes=2)
    assert [shard.sha256 for shard in one.manifest.shards] == [shard.sha256 for shard in two.manifest.shards]


def test_what_is_held_out_follows_the_seed(tmp_path, model, pack, build):
    path = str(pack(tmp_path / "Model_II.zip", model()[0]))
    splits = [set(content(build(path=path, seed=seed, val_fraction=0.2), "val")) for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]
    assert len(splits[0]) == 6


def test_through_the_command_line(tmp_path, model, pack, capsys):
    pack(tmp_path / "Model_III.tgz", model("Model_III")[0])
    pack(tmp_path / "Model_III_test.tgz", model("Model_III_test", count=2)[0])
    spec = tmp_path / "spec.toml"
    spec.write_text(
        f'[dataset.archives]\npath = "{tmp_path}/Model_III.tgz"\n[method.simclr]\n[backbone.levit]\n'
        "[train]\nbatch_size = 27\n"
    )
    assert main(["shards", "build", str(spec), "--out", str(tmp_path / "out")]) == 0
    assert main(["shards", "info", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "axion, cdm, no_sub" in said
    assert "27 images" in said
    spec.write_text(spec.read_text().replace("size = 27", "size = 28"))
    assert main(["shards", "build", str(spec), "--out", str(tmp_path / "other")]) == 2  # facts are known by now
    assert "28 is more than the 27 training images" in capsys.readouterr().err


def test_runs_on_files_that_changed_are_others(tmp_path, model, pack):
    path = pack(tmp_path / "Model_III", model("Model_III")[0])
    spec = tmp_path / "spec.toml"
    spec.write_text(f'[dataset.archives]\npath = "{path}"\n[method.simclr]\n[backbone.levit]\n')

    def digests():
        (cell,) = expand(load_spec(spec))
        return cell.digest, cell.train_digest

    before = digests()
    assert digests() == before
    next(path.rglob("*.npy")).unlink()
    assert not set(before) & set(digests())
