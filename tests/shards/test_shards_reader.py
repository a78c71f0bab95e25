"""Reading: the images and columns that were written, every kind of damage by name, memory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deeplense_registry.components import UserError
from deeplense_registry.shards import ShardSet, epoch_order, part, read_manifest, reader, verify, verify_shards
from tests.shards.shards_source import Toy, build, sample

COUNTS = {"train": 23, "val": 5, "test": 0}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(part, "AIM", 20_000)  # five samples a shard
    monkeypatch.setattr(part, "LARGEST", 20_000)
    build(tmp_path / "shards", Toy(COUNTS))
    return tmp_path / "shards"


def test_images_come_in_any_order(folder: Path) -> None:
    shards = ShardSet.open(folder)
    assert shards.counts("train") == (4, 5, 4, 5, 5)
    assert [shards.count(split) for split in COUNTS] == [23, 5, 0]
    for index in (epoch_order(shards.counts("train"), 0, 0), np.array([22, 0, 0, 4, 3]), np.array([], np.int64)):
        images = shards.images("train", index)
        assert images.dtype == np.float32
        assert images.shape == (len(index), 2, 8, 8)
        for image, position in zip(images, index, strict=True):
            np.testing.assert_array_equal(image, sample("train", int(position)).image)
    assert shards.images("test", np.array([], np.int64)).shape == (0, 2, 8, 8)
    shards.images("val", np.array([1]))[:] = 0  # its own memory
    np.testing.assert_array_equal(shards.images("val", np.array([1]))[0], sample("val", 1).image)


@pytest.mark.parametrize("index", [[23], [-1], [0, 40]])
def test_positions_outside_are_refused(index: list[int], folder: Path) -> None:
    with pytest.raises(IndexError, match="split 'train' has positions 0 to 22"):
        ShardSet.open(folder).images("train", np.array(index))


def test_columns_come_from_the_index(folder: Path) -> None:
    shards = ShardSet.open(str(folder), verify=False)
    samples = [sample("train", position) for position in range(23)]
    classes = shards.targets("train", "class")
    assert classes.dtype == np.int64
    assert classes.tolist() == [one.targets.get("class", -1) for one in samples]
    radii = shards.targets("train", "theta_e")
    np.testing.assert_array_equal(radii, [float(one.targets.get("theta_e", np.nan)) for one in samples])
    np.testing.assert_array_equal(shards.meta("train", "psf"), [one.meta["psf"] for one in samples])
    np.testing.assert_array_equal(shards.meta("train", "noise"), [one.meta.get("noise", np.nan) for one in samples])
    assert np.isnan(shards.meta("train", "night")).all()  # strings stay in the tar
    assert np.isnan(shards.meta("val", "no such thing")).tolist() == [True] * 5
    assert shards.names("train").tolist() == [one.name for one in samples]
    empty = [shards.targets("test", "class"), shards.meta("test", "psf"), shards.names("test")]
    assert [(column.dtype.kind, len(column)) for column in empty] == [("i", 0), ("f", 0), ("U", 0)]
    assert shards.card == shards.manifest.card
    assert shards.statistics == shards.manifest.statistics


def test_what_there_is_not_is_told(folder: Path) -> None:
    shards = ShardSet.open(folder)
    with pytest.raises(UserError, match="has no target 'mass', but: class, theta_e"):
        shards.targets("train", "mass")
    with pytest.raises(UserError, match="has no split 'dev', but: train, val, test"):
        shards.count("dev")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_partners_come_along(dtype: str, tmp_path: Path) -> None:
    build(tmp_path, Toy({"train": 3}, partners=2), dtype=dtype)
    images = ShardSet.open(tmp_path).images("train", np.array([2, 0]))
    assert images.shape == (2, 2, 2, 8, 8)
    expected = np.stack([sample("train", position, partners=2).image for position in (2, 0)])
    np.testing.assert_array_equal(images, expected.astype(dtype).astype(np.float32))


def test_more_shards_than_maps_are_read_from_several_threads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "OPEN_MAPS", 2)
    shards = ShardSet.open(folder)
    expected = np.stack([sample("train", position).image for position in range(23)])
    wrong: list[int] = []

    def read(seed: int) -> None:
        for epoch in range(20):
            order = epoch_order(shards.counts("train"), seed, epoch)
            if not np.array_equal(shards.images("train", order), expected[order]):
                wrong.append(seed)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def flip(at: int) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[at] ^= 1
        path.write_bytes(data)

    return damage


HTML = b"\n<!DOCTYPE html><html><body>404</body></html>"
DAMAGE = [
    (lambda path: path.write_bytes(path.read_bytes()[:-700]), "{tar} is truncated: {short} of {size} bytes"),
    (lambda path: path.write_bytes(path.read_bytes() + b"x"), "{tar} is too long: {long} bytes instead of {size}"),
    (flip(512 + 128 + 7), "{tar}: the image of sample 'train-x4' is damaged (bytes 640 to 1151)"),
    (flip(3), "{tar}: the tar header at byte 0 is damaged"),
    (flip(1536 + 124 + 5), "{tar}: the tar header at byte 1536 is damaged"),
    (flip(2048 + 2), "{tar} is damaged outside of its images: its checksum is not the manifest's"),
    (lambda path: path.write_bytes(HTML), "{tar} is an HTML page, not a shard: what served it answered with an error"),
    (lambda path: path.write_bytes(b""), "{tar} is empty: 0 of {size} bytes"),
    (lambda path: path.unlink(), "{tar} is missing"),
    (lambda path: path.with_suffix(".npz").unlink(), "{index} is missing"),
    (
        lambda path: path.with_suffix(".npz").write_bytes(path.with_name("train-000002.npz").read_bytes()),
        "{index} does not belong to train-000001.tar: its checksum is not the manifest's",
    ),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE)
def test_damage_is_named_exactly(damage: Callable[[Path], None], message: str, folder: Path) -> None:
    ShardSet.open(folder)  # verified and remembered: damage that comes later is found none the less
    tar = folder / "train-000001.tar"
    size = tar.stat().st_size
    damage(tar)
    for _ in range(2):  # what is damaged is not remembered as sound
        with pytest.raises(UserError) as error:
            ShardSet.open(folder)
        first = message.format(tar=tar, index=tar.with_suffix(".npz"), size=size, short=size - 700, long=size + 1)
        assert str(error.value) == f"{first}\n1 found damaged: delete the folder and build it again, or copy it anew"


def test_an_index_that_is_none_is_told(folder: Path) -> None:
    path = folder / "train-000001.npz"
    path.write_bytes(b"<html>")
    with pytest.raises(UserError, match=r"is not the index of a shard: .*; build the shards again"):
        ShardSet.open(folder, verify=False)


def test_every_damage_is_listed(folder: Path) -> None:
    (folder / "train-000000.tar").unlink()
    (folder / "val-000000.npz").unlink()
    with pytest.raises(UserError) as error:
        ShardSet.open(folder)
    assert str(error.value).splitlines()[:2] == [
        f"{folder / 'train-000000.tar'} is missing",
        f"{folder / 'val-000000.npz'} is missing",
    ]


def test_what_is_verified_is_remembered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    original = part.file_sha256

    def listen(path: Path) -> str:
        hashed.append(path.name)
        return original(path)

    monkeypatch.setattr(verify, "file_sha256", listen)
    ShardSet.open(folder)
    assert len(hashed) == 12
    hashed.clear()
    ShardSet.open(folder)
    assert hashed == []
    os.utime(folder / "train-000003.tar")
    ShardSet.open(folder)
    assert hashed == ["train-000003.npz", "train-000003.tar"]
    for nonsense in ("[]", "{"):
        (folder / ".verified.json").write_text(nonsense)
        hashed.clear()
        ShardSet.open(folder)
        assert len(hashed) == 12


def test_a_folder_that_cannot_be_written_is_read(folder: Path) -> None:
    (folder / ".verified.json").mkdir()  # as root permissions stop nothing; a folder in its place does
    assert ShardSet.open(folder).count("train") == 23
    verify_shards(folder, read_manifest(folder))


MEMORY = """
import sys
from pathlib import Path
import numpy as np
from deeplense_registry.shards import ShardSet, epoch_order

def anonymous():
    text = Path("/proc/self/status").read_text()
    return int(text.split("RssAnon:")[1].split()[0])

def read(folder):
    shards = ShardSet.open(folder)
    order = epoch_order(shards.counts("train"), 0, 0)
    total = 0.0
    for at in range(0, len(order), 16):
        total += float(shards.images("train", order[at : at + 16]).sum())
    return shards, total

read(sys.argv[1])
before = anonymous()
kept = read(sys.argv[2])
print(anonymous() - before)
"""


def test_memory_does_not_grow_with_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "AIM", 2**20)
    monkeypatch.setattr(part, "LARGEST", 2**20)
    small = build(tmp_path / "small", Toy({"train": 16}, side=128))
    large = build(tmp_path / "large", Toy({"train": 240}, side=128))
    assert (len(small.shards), len(large.shards)) == (3, 31)
    run = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / "small"), str(tmp_path / "large")],
        check=True,
        capture_output=True,
        text=True,
    )
    assert sum(shard.bytes for shard in large.shards) > 31e6
    assert int(run.stdout) < 4096  # KiB; a reader that loads the tars grows by 31,000
