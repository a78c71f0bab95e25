"""Foreign tars behind URLs: a real server that is whole, hangs up, lacks a tar, sends something else or changes."""

from __future__ import annotations

import json
import os
import resource
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset

from deeplense_registry.components import UserError
from deeplense_registry.shards import ShardSet, manifest_at, materialise, remote
from deeplense_registry.spec import Instance, ShardsOptions
from tests.shards.shards_server import Behaviour, serving

PATTERN = "train-{000..002}.tar"
TAR = "train-001.tar"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(remote, "BLOCK", 4096)  # four blocks or so a tar
    monkeypatch.setattr(remote, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setenv("DEEPLENSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def image(number: int) -> Any:
    return np.random.default_rng(number).random((8, 8), np.float32)


def write(path: Path, first: int, count: int = 6) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with webdataset.TarWriter(str(path)) as writer:
        for number in range(first, first + count):
            writer.write({"__key__": f"{number:04d}", "npy": image(number), "cls": number % 3})


@pytest.fixture
def there(tmp_path: Path) -> Path:
    for number in range(3):
        write(tmp_path / "www" / "sky" / f"train-{number:03d}.tar", 10 * number)
    write(tmp_path / "www" / "sky" / "val-000.tar", 90)
    return tmp_path / "www" / "sky"


@pytest.fixture
def server(there: Path) -> Iterator[tuple[str, Behaviour]]:
    with serving(there.parent) as (url, behaviour):
        yield f"{url}/sky", behaviour


Server = tuple[str, Behaviour]


def folder(path: str, **more: Any) -> Path:
    options = ShardsOptions(path=path, **{"pixel_scale": 0.05, **more})
    return materialise(Instance(name="x", use="shards", row=None, options=options), processes=1)


def refused(path: str, **more: Any) -> str:
    with pytest.raises(UserError) as error:
        folder(path, **more)
    return str(error.value)


def copy_of(url: str, cache: Path) -> Path:
    return cache / "tars" / url.replace("://", "/")


def test_a_pattern_of_urls_is_as_good_as_a_folder(server: Server, there: Path, cache: Path) -> None:
    url, _ = server
    pattern = f"{url}/{{{PATTERN},val-000.tar}}"
    assert manifest_at(pattern) is None
    shards = ShardSet.open(folder(pattern, classes=("a", "b", "c")))
    assert (shards.count("train"), shards.count("val"), shards.card.name) == (18, 6, "sky")
    np.testing.assert_array_equal(shards.images("train", np.array([7]))[0, 0], image(11))
    assert shards.targets("train", "class")[7] == 11 % 3
    assert shards.names("train")[7] == "train-001/0011"
    copies = {path.name: path.read_bytes() for path in copy_of(url, cache).glob("*.tar")}
    assert copies == {path.name: path.read_bytes() for path in there.iterdir()}
    assert (shards.folder / "train-000001.tar").readlink() == copy_of(f"{url}/{TAR}", cache)
    assert not list(copy_of(url, cache).glob(".*.part"))


def test_one_tar_and_a_folder_of_splits(server: Server, there: Path) -> None:
    url, _ = server
    assert ShardSet.open(folder(f"{url}/{TAR}")).count("train") == 6
    write(there / "deep" / "train" / "0.tar", 0)
    write(there / "deep" / "test" / "0.tar", 7, 2)
    shards = ShardSet.open(folder(f"{url}/deep/{{train,test}}/0.tar"))
    assert (shards.count("train"), shards.count("test")) == (6, 2)


def test_what_was_copied_needs_no_network(there: Path) -> None:
    with serving(there.parent) as (address, _):
        url = f"{address}/sky/{PATTERN}"
        first = folder(url)
    assert folder(url) == first  # the server is gone
    assert ShardSet.open(folder(f"{address}/sky/{TAR}")).count("train") == 6  # tars are kept one by one


def test_a_dropped_connection_is_taken_up_where_it_broke(server: Server, there: Path, cache: Path) -> None:
    url, behaviour = server
    behaviour.drop[TAR] = [4096, 100, 0]
    folder(f"{url}/{PATTERN}")
    starts = [first for name, first in behaviour.asked if name == TAR]
    assert starts[:5] == [0, 4096, 4096, 4096, 8192]
    assert copy_of(f"{url}/{TAR}", cache).read_bytes() == (there / TAR).read_bytes()


def test_a_fetch_that_gave_up_is_told_and_continued(server: Server, there: Path, cache: Path) -> None:
    url, behaviour = server
    behaviour.drop[TAR] = [4096, *[100] * 4]
    said = refused(f"{url}/{TAR}")
    assert said.startswith(f"{url}/{TAR} cannot be read: ")
    assert said.endswith("; run it again to continue where it stopped")
    assert not copy_of(f"{url}/{TAR}", cache).exists()
    behaviour.asked.clear()
    folder(f"{url}/{TAR}")
    assert behaviour.asked[0] == (TAR, 4096)
    assert copy_of(f"{url}/{TAR}", cache).read_bytes() == (there / TAR).read_bytes()


def test_a_file_that_changed_meanwhile_is_begun_anew(server: Server, there: Path, cache: Path) -> None:
    url, behaviour = server
    behaviour.drop[TAR] = [4096, *[100] * 4]
    refused(f"{url}/{TAR}")
    write(there / TAR, 50)
    os.utime(there / TAR, (1, 1))
    behaviour.asked.clear()
    folder(f"{url}/{TAR}")
    assert behaviour.asked[0] == (TAR, 0)
    assert copy_of(f"{url}/{TAR}", cache).read_bytes() == (there / TAR).read_bytes()
    assert not list(copy_of(url, cache).glob(".*.part"))


def test_a_server_without_ranges_sends_the_tar_at_once(server: Server, there: Path, cache: Path) -> None:
    url, behaviour = server
    behaviour.ranges = False
    behaviour.drop[TAR] = [9000]
    folder(f"{url}/{TAR}")
    assert copy_of(f"{url}/{TAR}", cache).read_bytes() == (there / TAR).read_bytes()


def short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:8000])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (Path.unlink, "is not there; mend the URL, or leave the tar out"),
        (lambda path: path.write_bytes(b"x" * 9000), "is no tar, or a damaged one: invalid header; copy the tar anew"),
        (lambda path: path.write_bytes(b""), "is no tar, or a damaged one: empty file; copy the tar anew"),
        (lambda path: path.write_text("<!doctype html><p>Log in"), "is an HTML page, not a shard: what served it"),
        (short, "is no tar, or a damaged one: unexpected end of data; copy the tar anew"),
    ],
)
def test_what_is_no_tar_is_told_and_not_kept(
    change: Callable[[Path], Any], message: str, server: Server, there: Path, cache: Path
) -> None:
    url, _ = server
    whole = (there / TAR).read_bytes()
    change(there / TAR)
    assert refused(f"{url}/{PATTERN}").startswith(f"{url}/{TAR} {message}")
    (there / TAR).write_bytes(whole)
    assert ShardSet.open(folder(f"{url}/{PATTERN}")).count("train") == 18


def test_a_page_in_place_of_the_tar_is_told(server: Server) -> None:
    url, behaviour = server
    behaviour.page.add(TAR)
    assert refused(f"{url}/{TAR}").startswith(f"{url}/{TAR} is an HTML page, not a shard")


def test_other_sizes_than_announced_are_told(server: Server, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, behaviour = server
    behaviour.sizeless.add(TAR)
    assert refused(f"{url}/{TAR}") == (
        f"{url}/{TAR}: the server does not say how large it is; download it, and give its path"
    )
    behaviour.sizeless.clear()
    monkeypatch.setattr(remote.Remote, "announced", lambda *_: (20 * 4096, "v1"))
    assert refused(f"{url}/{TAR}") == (
        f"{url}/{TAR} has another size than was announced ({20 * 4096} bytes); run it again"
    )


def test_a_server_that_refuses_or_is_gone_is_told(there: Path) -> None:
    with serving(there.parent) as (address, behaviour):
        url = f"{address}/sky/{TAR}"
        behaviour.status[TAR] = [403]
        assert refused(url).startswith(f"{url} cannot be read: 403, message='Forbidden'")
        behaviour.sizeless.add(TAR)
        behaviour.status[TAR] = [403]
        assert refused(url).startswith(f"{url} cannot be read: 403, message='Forbidden'")
    said = refused(url)
    assert said.startswith(f"{url} cannot be read: Cannot connect to host")


def test_a_copy_that_was_touched_is_hashed(server: Server, cache: Path) -> None:
    url, behaviour = server
    folder(f"{url}/{TAR}")
    copy = copy_of(f"{url}/{TAR}", cache)
    os.utime(copy, (1, 1))
    behaviour.asked.clear()
    folder(f"{url}/{TAR}")
    assert not behaviour.asked
    copy.write_bytes(copy.read_bytes()[:-1] + b"x")
    assert refused(f"{url}/{TAR}") == (
        f"{copy} is not what came from {url}/{TAR}: its checksum differs; delete it to fetch it again"
    )
    copy.unlink()
    folder(f"{url}/{TAR}")


def test_another_tar_under_the_same_url_is_told(server: Server, there: Path, cache: Path) -> None:
    url, _ = server
    first = folder(f"{url}/{TAR}")
    copy = copy_of(f"{url}/{TAR}", cache)
    record = copy.with_name(f".{TAR}.json")
    assert json.loads(record.read_bytes())["url"] == f"{url}/{TAR}"
    copy.unlink()
    write(there / TAR, 50)
    assert refused(f"{url}/{TAR}") == (
        f"{url}/{TAR} has changed since it was first fetched; delete {record} to take it as it is now"
    )
    record.unlink()
    second = folder(f"{url}/{TAR}")
    assert first != second
    assert ShardSet.open(second).names("train")[0] == "train-001/0050"
    record.write_bytes(b"{")
    assert refused(f"{url}/{TAR}").startswith(f"{record} is damaged: ")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("*.tar", "a URL has no wildcards; name the tars by braces, as in train-{000..009}.tar"),
        ("a.tar?download=true", "does not end in .tar; give plain tars, by URLs without a query"),
        ("a.tar.gz", "does not end in .tar; give plain tars, by URLs without a query"),
        ("../../x.tar", "has an empty part, or dots for one; write it plainly"),
        ("{0...tar", "write braces as in a-{000..009}.tar"),
        ("", "or of tars: train-{000..009}.tar"),
    ],
)
def test_urls_that_name_no_tars(path: str, message: str, server: Server) -> None:
    url, behaviour = server
    assert refused(f"{url}/{path}", **({} if path else {"pixel_scale": None})).endswith(message)
    assert all(name == "manifest.json" for name, _ in behaviour.asked)


def test_what_the_spec_must_say_is_said_before_anything_is_fetched(server: Server) -> None:
    url, behaviour = server
    said = refused(f"{url}/{TAR}", pixel_scale=None)
    assert said == f"{url}/{TAR} has tars without a manifest: give pixel_scale, in arcseconds per pixel"
    assert not behaviour.asked


def test_a_full_disk_is_told_and_continued(server: Server, there: Path, cache: Path) -> None:
    url, _ = server
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, limit[1]))
    try:
        assert refused(f"{url}/{TAR}").endswith("and run it again: what was fetched is kept")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert ShardSet.open(folder(f"{url}/{TAR}")).count("train") == 6


def test_file_urls_and_relative_paths_name_tars_too(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ShardSet.open(folder(f"file://{there}/{PATTERN}")).count("train") == 18
    monkeypatch.chdir(there.parent)
    assert ShardSet.open(folder("sky")).counts("val") == (6,)
    assert ShardSet.open(folder(f"sky/{PATTERN}")).count("train") == 18


def test_pictures_behind_a_url_are_rewritten(server: Server, there: Path) -> None:
    url, _ = server
    with tarfile.open(there / "wide.tar", "w") as archive:
        for number in range(3):
            path = there / f"{number}.npy"
            np.save(path, image(number).astype(np.float64))
            archive.add(path, path.name)
    shards = ShardSet.open(folder(f"{url}/wide.tar"))
    assert not (shards.folder / "train-000000.tar").is_symlink()
    np.testing.assert_array_equal(shards.images("train", np.array([2]))[0, 0], image(2))
