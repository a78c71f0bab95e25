"""Building: the bytes, the faults of a source, interruption, two at once, a full disk."""

from __future__ import annotations

import gc
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import webdataset

from deeplense_registry.components import UserError
from deeplense_registry.interfaces import Sample
from deeplense_registry.shards import build_shards, encode, part, read_manifest
from deeplense_registry.shards.ustar import damaged_header
from tests.shards.shards_source import Toy, build, card, content, sample

COUNTS = {"train": 23, "val": 5, "test": 0}
BUILD = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from deeplense_registry.shards import part
from tests.shards.shards_source import Toy, build
if __name__ == "__main__":
    part.AIM = part.LARGEST = 20_000
    build(Path(sys.argv[1]), Toy({counts!r}, delay=float(sys.argv[2])), processes=int(sys.argv[3]))
"""


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "AIM", 20_000)  # five samples a shard
    monkeypatch.setattr(part, "LARGEST", 20_000)


def start(script: Path, folder: Path, delay: float, processes: int) -> subprocess.Popen[bytes]:
    script.write_text(BUILD.format(root=str(Path(__file__).parents[2]), counts=COUNTS))
    return subprocess.Popen([sys.executable, str(script), str(folder), str(delay), str(processes)])


def wait_for(condition: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_bytes_do_not_depend_on_processes(tmp_path: Path) -> None:
    heard: list[tuple[int, int | None]] = []
    build(tmp_path / "one", Toy(COUNTS), progress=lambda done, total: heard.append((done, total)))
    assert heard == [(0, 28), *((done, 28) for done in range(1, 29))]
    heard.clear()
    build(tmp_path / "two", Toy(COUNTS), processes=2, progress=lambda done, total: heard.append((done, total)))
    assert heard[0] == (0, 28)
    assert heard[-1] == (28, 28)
    one = content(tmp_path / "one")
    assert one == content(tmp_path / "two")
    assert [name for name in one if name.endswith(".tar")] == [
        *(f"train-{number:06d}.tar" for number in range(5)),
        "val-000000.tar",
    ]


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # the library leaves files open
def test_the_webdataset_library_reads_the_shards(tmp_path: Path) -> None:
    manifest = build(tmp_path, Toy(COUNTS))
    urls = [str(tmp_path / shard.file) for shard in manifest.splits["train"]]
    rows = list(webdataset.WebDataset(urls, shardshuffle=False).decode())
    assert len(rows) == 23
    for position, row in enumerate(rows):
        expected = sample("train", position)
        np.testing.assert_array_equal(row["image.npy"], expected.image)
        assert row["image.npy"].dtype == np.float32
        assert row["targets.json"] == {name: np.asarray(value).item() for name, value in expected.targets.items()}
        assert row["meta.json"] == {**expected.meta, "name": expected.name}
    keys = [row["__key__"] for row in rows]
    assert keys[2:6] == ["000000-000002", "000000-000003", "000001-000000", "000001-000001"]
    gc.collect()


def test_members_are_plain_ustar_without_owner_and_time(tmp_path: Path) -> None:
    build(tmp_path, Toy(COUNTS))
    whole = (tmp_path / "train-000000.tar").read_bytes()
    assert damaged_header(memoryview(whole)) is None
    with tarfile.open(fileobj=io.BytesIO(whole), format=tarfile.USTAR_FORMAT) as archive:
        infos = archive.getmembers()
    assert {(i.mode, i.mtime, i.uid, i.gid, i.uname, i.gname, i.type) for i in infos} == {
        (0o644, 0, 0, 0, "", "", tarfile.REGTYPE)
    }
    assert [info.name for info in infos[:3]] == [
        f"000000-000000.{end}" for end in ("image.npy", "targets.json", "meta.json")
    ]
    assert all(info.pax_headers == {} for info in infos)


def test_a_long_header_walk_meets_the_end_of_a_torn_archive(tmp_path: Path) -> None:
    build(tmp_path, Toy(COUNTS))
    whole = (tmp_path / "train-000000.tar").read_bytes()
    assert damaged_header(memoryview(whole)[:-1024]) == len(whole) - 1024


def test_statistics_are_those_of_the_training_pixels(tmp_path: Path) -> None:
    statistics = build(tmp_path, Toy(COUNTS)).statistics
    pixels = np.stack([sample("train", position).image for position in range(23)]).astype(np.float64)
    assert statistics.split == "train"
    np.testing.assert_allclose(statistics.mean, pixels.mean(axis=(0, 2, 3)), rtol=1e-14)
    np.testing.assert_allclose(statistics.std, pixels.std(axis=(0, 2, 3)), rtol=1e-12)
    assert statistics.min == tuple(pixels.min(axis=(0, 2, 3)))
    assert statistics.max == tuple(pixels.max(axis=(0, 2, 3)))


def test_the_number_of_shards_follows_the_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    size = encode.expected_bytes(card({"train": 1}, 64), "float32")
    assert size == 2 * 64 * 64 * 4 + 6 * 512
    for count in (1, 400, 900, 1000, 1001, 2000, 50_000):
        parts = len(part.plan(card({"train": count}, 64), tmp_path, "d", "float32"))
        assert parts == 1 or 15.9 * 2**20 <= count * size / parts <= 32 * 2**20
    assert len(part.plan(card({"train": 3}, 4000), tmp_path, "d", "float32")) == 3
    assert [one.name for one in part.plan(card({"train": 0, "val": 1}, 64), tmp_path, "d", "float32")] == ["val-000000"]


def test_unknown_counts_take_eight_parts_and_are_known_afterwards(tmp_path: Path) -> None:
    heard: list[int | None] = []
    toy = Toy({"train": 11})
    manifest = build_shards(
        toy, card({"train": None}), tmp_path, digest="d", processes=1, progress=lambda _, total: heard.append(total)
    )
    assert manifest.card.splits == {"train": 11}
    assert [shard.count for shard in manifest.splits["train"]] == [1, 1, 2, 1, 1, 2, 1, 2]
    assert set(heard) == {None}


def test_without_train_the_first_split_gives_the_statistics(tmp_path: Path) -> None:
    assert build(tmp_path, Toy({"sky": 3, "val": 2})).statistics.split == "sky"


def test_a_finished_folder_is_left_and_another_source_refused(tmp_path: Path) -> None:
    first = build(tmp_path, Toy(COUNTS))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert build(tmp_path, Toy(COUNTS, fault="unreadable")) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    for other in ({"digest": "d2"}, {"dtype": "float16"}):
        with pytest.raises(UserError) as error:
            build(tmp_path, Toy(COUNTS), **other)
        assert str(error.value) == (
            f"{tmp_path} holds shards of 'toy' made with other options; give another folder or delete it"
        )


class One:
    """A source of one sample."""

    def __init__(self, given: Sample) -> None:
        self.given = given

    def __call__(self) -> Any:
        return self

    def samples(self, split: str, part: int, parts: int) -> Any:
        yield self.given


def image_with(value: float) -> Any:
    image = sample("train", 1).image.copy()
    image[0, 3, 3] = value
    return image


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"image": np.zeros((1, 8, 8), np.float32)},
            "the image is float32 (1, 8, 8); the card promises float32 (2, 8, 8)",
        ),
        ({"image": np.zeros((2, 8, 8))}, "the image is float64 (2, 8, 8); the card promises float32 (2, 8, 8)"),
        ({"image": [[1.0]]}, "the image is list; the card promises float32 (2, 8, 8)"),
        ({"image": image_with(np.nan)}, "the image has NaN or infinite pixels; mend or leave out the image"),
        ({"image": image_with(-np.inf)}, "the image has NaN or infinite pixels; mend or leave out the image"),
        ({"image": np.full((2, 8, 8), 3, np.float32)}, "every pixel of the image is 3; leave the image out"),
        ({"targets": {"clas": 1}}, "target 'clas' is not on the card, which has: class, theta_e"),
        ({"targets": {"class": 3}}, "target 'class' is 3; a class is an index from 0 to 2"),
        ({"targets": {"class": 1.0}}, "target 'class' is 1.0; a class is an index from 0 to 2"),
        ({"targets": {"theta_e": "1"}}, "target 'theta_e' is '1'; write a number"),
        ({"targets": {"theta_e": np.nan}}, "target 'theta_e' is nan; leave out what is not known"),
        ({"meta": {"psf": [1]}}, "meta 'psf' is [1]; write a number or a string"),
        ({"meta": {"psf": float("inf")}}, "meta 'psf' is inf; leave out what is not known"),
        ({"meta": {"name": "other"}}, "meta 'name' is kept for the sample's own name; call it something else"),
    ],
)
def test_a_sample_that_is_not_as_promised_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    source = One(attrs.evolve(sample("train", 1), **change))
    with pytest.raises(UserError) as error:
        build_shards(source, card({"train": 1}), tmp_path, digest="d", processes=1)
    text = str(error.value)
    assert text.startswith("toy, split 'train', sample 'train-x1'")
    assert text.endswith(message)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_pixels_beyond_float16_are_refused(tmp_path: Path) -> None:
    source = One(attrs.evolve(sample("train", 1), image=image_with(1e5)))
    with pytest.raises(UserError, match=r"pixels reach 100000, beyond float16; keep float32 or rescale"):
        build_shards(source, card({"train": 1}), tmp_path, digest="d", processes=1, dtype="float16")


def test_a_band_without_content_is_refused(tmp_path: Path) -> None:
    image = sample("train", 1).image.copy()
    image[1] = 0
    with pytest.raises(UserError, match="band 'r' has one value in every pixel of split 'train'; leave the band out"):
        build_shards(
            One(attrs.evolve(sample("train", 1), image=image)), card({"train": 1}), tmp_path, digest="d", processes=1
        )


@pytest.mark.parametrize(
    ("toy", "message"),
    [
        (Toy(COUNTS, fault="twins"), "toy, split 'train': the name 'twin' comes more than once; names must be unique"),
        (Toy(COUNTS, fault="unreadable"), "toy, split 'train': cannot read the source: no such archive"),
        (Toy({"train": 0}), "split 'train' has no images; the source must give at least one"),
        (Toy({}), "toy: the card names no splits; name at least one"),
        (Toy({"a/b": 1}), "toy: a split is called 'a/b'; use letters, digits and underscores"),
    ],
)
@pytest.mark.parametrize("processes", [1, 2])
def test_a_fault_of_the_source_is_told(toy: Toy, message: str, processes: int, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        build(tmp_path / "out", toy, processes=processes)
    said = str(error.value)
    if processes > 1 and toy.fault == "unreadable":  # which of two processes fails first is chance
        said = said.replace("'val'", "'train'")
    assert said == message
    with pytest.raises(UserError):  # and again: nothing refused was kept as good
        build(tmp_path / "out", toy)


def test_a_card_that_counts_wrongly_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        build_shards(Toy({"train": 4}), card({"train": 5}), tmp_path, digest="d", processes=1)
    assert str(error.value) == "toy, split 'train': the source gives 4 samples, its card says 5; mend the card"
    assert not list(tmp_path.glob("*.npz"))


def test_a_worker_that_is_killed_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="was killed, for want of memory perhaps; run it again with fewer processes"):
        build(tmp_path, Toy(COUNTS, fault="killed"), processes=2)


def test_a_killed_build_continues_to_the_same_bytes(tmp_path: Path) -> None:
    build(tmp_path / "whole", Toy(COUNTS))
    for processes in (1, 2):
        folder = tmp_path / f"torn{processes}"
        child = start(tmp_path / "build.py", folder, 0.1, processes)
        wait_for(lambda at=folder: len(list(at.glob("*.npz"))) >= 2)
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert not (folder / "manifest.json").exists()
        with pytest.raises(UserError, match="a build was interrupted"):
            read_manifest(folder)
        kept = {path: path.stat().st_mtime_ns for path in folder.glob("*.npz")}
        build(folder, Toy(COUNTS))
        assert content(folder) == content(tmp_path / "whole")
        assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
        assert not list(folder.glob(".*.part"))


def test_workers_leave_with_a_killed_parent(tmp_path: Path) -> None:
    child = start(tmp_path / "build.py", tmp_path / "out", 0.5, 2)
    wait_for(lambda: len(list((tmp_path / "out").glob(".*.part"))) == 2)
    workers = [int(path.name.split(".")[-2]) for path in (tmp_path / "out").glob(".*.part")]
    child.send_signal(signal.SIGKILL)
    child.wait()
    wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers), 20)


def test_damaged_leftovers_are_written_again(tmp_path: Path) -> None:
    build(tmp_path / "whole", Toy(COUNTS))
    folder = tmp_path / "torn"
    build(folder, Toy(COUNTS))
    (folder / "manifest.json").unlink()
    (folder / "train-000000.npz").write_bytes(b"not an index")
    torn = folder / "train-000001.tar"
    torn.write_bytes(torn.read_bytes()[:-1] + b"x")
    np.savez(folder / "train-000002.npz", stamp=np.array("another build"))
    build(folder, Toy(COUNTS))
    assert content(folder) == content(tmp_path / "whole")


def test_two_builds_at_once_agree(tmp_path: Path) -> None:
    build(tmp_path / "whole", Toy(COUNTS))
    both = [start(tmp_path / f"{number}.py", tmp_path / "out", 0.02, 1) for number in range(2)]
    assert [child.wait(60) for child in both] == [0, 0]
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_a_write_that_fails_leaves_nothing_half_written(tmp_path: Path) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, limit[1]))
    try:
        with pytest.raises(UserError) as error:
            build(tmp_path, Toy(COUNTS))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert str(error.value) == (
        f"{tmp_path}/train-000000.tar: cannot write the shard: [Errno 27] File too large; "
        "make room or give another folder, and run it again: finished shards are kept"
    )
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write shards there"):
        build(tmp_path / "file" / "out", Toy(COUNTS))


def test_partners_and_float16(tmp_path: Path) -> None:
    manifest = build(tmp_path, Toy({"train": 4}, partners=3), dtype="float16")
    assert manifest.image_shape == (3, 2, 8, 8)
    with tarfile.open(tmp_path / "train-000000.tar") as archive:
        stored = archive.extractfile("000000-000001.image.npy")
        assert stored is not None
        image = np.load(io.BytesIO(stored.read()), allow_pickle=False)
    assert image.dtype == np.float16
    second = sample("train", 1, partners=3).image
    np.testing.assert_array_equal(image, second.astype(np.float16))


def test_the_manifest_is_json_and_comes_back(tmp_path: Path) -> None:
    manifest = build(tmp_path, Toy(COUNTS))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"manifest\.json: cannot write: .*; make room and run it again"):
        manifest.publish(tmp_path / "file")
    assert read_manifest(tmp_path) == manifest
    assert json.loads((tmp_path / "manifest.json").read_text())["format"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda text: "<html>",
            "is damaged: Expecting value: line 1 column 1 (char 0); build the shards again or copy them anew",
        ),
        (lambda text: "[1]", "is no manifest of shards"),
        (
            lambda text: text.replace('"format": 1', '"format": 2'),
            "has format 2, this version reads 1; build the shards again",
        ),
        (
            lambda text: text.replace('"count"', '"amount"'),
            "is damaged: required field missing @ $.splits['train'][0].count; build",
        ),
        (
            lambda text: text.replace("train-000001.tar", "../x.tar"),
            "is damaged: invalid value @ $.splits['train'][1]; build the shards again or copy them anew",
        ),
    ],
)
def test_a_damaged_manifest_is_told(change: Any, message: str, tmp_path: Path) -> None:
    build(tmp_path, Toy(COUNTS))
    path = tmp_path / "manifest.json"
    path.write_text(change(path.read_text()))
    with pytest.raises(UserError) as error:
        read_manifest(tmp_path)
    assert str(error.value).startswith(f"{path} {message}")


def test_a_folder_without_shards_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no manifest\.json; give a folder that"):
        read_manifest(tmp_path)
    with pytest.raises(UserError, match="is no folder; give the folder that"):
        read_manifest(tmp_path / "none")


def test_the_room_imports_no_torch() -> None:
    code = "import sys, deeplense_registry.shards, deeplense_registry.cli.shards; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, env={**os.environ}).returncode == 0
