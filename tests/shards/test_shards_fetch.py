"""Remote shards: a real server that is whole, hangs up, errs, lies or is gone; several processes; a full disk."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from deeplense_registry.components import UserError
from deeplense_registry.shards import ShardSet, fetch_shards, manifest_at, materialise, part, remote
from deeplense_registry.spec import Instance, ShardsOptions
from tests.shards.shards_server import Behaviour, serving
from tests.shards.shards_source import Toy, build, content, sample

COUNTS = {"train": 23, "val": 5, "test": 0}
TAR = "train-000001.tar"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(part, "AIM", 20_000)  # five samples a shard
    monkeypatch.setattr(part, "LARGEST", 20_000)
    monkeypatch.setattr(remote, "BLOCK", 4096)  # four or five blocks a shard
    monkeypatch.setattr(remote, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setenv("DEEPLENSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def there(tmp_path: Path) -> Path:
    build(tmp_path / "www" / "toy", Toy(COUNTS))
    return tmp_path / "www" / "toy"


@pytest.fixture
def server(there: Path) -> Iterator[tuple[str, Behaviour]]:
    with serving(there.parent) as (url, behaviour):
        yield f"{url}/toy", behaviour


Server = tuple[str, Behaviour]


def shards(path: str, **more: object) -> Instance:
    return Instance(name="x", use="shards", row=None, options=ShardsOptions(path=path, **more))


def test_a_url_becomes_a_folder_with_the_same_bytes(server: Server, there: Path, cache: Path) -> None:
    url, behaviour = server
    heard: list[tuple[int, int | None]] = []
    folder = materialise(shards(url), processes=1, progress=lambda *told: heard.append(told))
    assert folder.parent == cache / "shards"
    assert folder.name.startswith("toy-")
    assert content(folder) == content(there)
    assert heard[-1] == (28, 28)
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)
    np.testing.assert_array_equal(ShardSet.open(folder).images("train", np.array([7]))[0], sample("train", 7).image)
    assert behaviour.asked[0] == ("manifest.json", 0)
    assert not list(folder.glob(".*.part"))


def test_a_copy_that_is_whole_needs_no_network(there: Path) -> None:
    with serving(there.parent) as (address, _):
        url = f"{address}/toy"
        assert manifest_at(url) is None
        folder = fetch_shards(url)
    assert fetch_shards(f"{url}/") == folder  # the server is gone
    assert fetch_shards(f"{url}/manifest.json") == folder
    assert materialise(shards(url), processes=1) == folder
    assert manifest_at(url) == ShardSet.open(folder).manifest


def test_a_dropped_connection_is_taken_up_where_it_broke(server: Server, there: Path) -> None:
    url, behaviour = server
    behaviour.drop[TAR] = [4096, 1000, 0]  # the first block comes whole, the second twice in part
    folder = fetch_shards(url)
    assert content(folder) == content(there)
    starts = [first for name, first in behaviour.asked if name == TAR]
    assert starts[:4] == [0, 4096, 4096, 4096]
    assert starts[4:] == [8192, 12288, 16384]


def test_a_fetch_that_gave_up_is_continued_by_the_next(server: Server, there: Path, cache: Path) -> None:
    url, behaviour = server
    behaviour.drop[TAR] = [4096, *[10] * 4]
    with pytest.raises(UserError) as error:
        fetch_shards(url)
    said = str(error.value)
    assert said.startswith(f"{url}/{TAR} cannot be read: ")
    assert said.endswith("; run it again to continue where it stopped")
    (folder,) = (cache / "shards").iterdir()
    assert (folder / f".{TAR}.part").stat().st_size == 4096
    assert not (folder / TAR).exists()
    assert not (folder / "manifest.json").exists()
    behaviour.asked.clear()
    assert fetch_shards(url) == folder
    assert content(folder) == content(there)
    assert [first for name, first in behaviour.asked if name == TAR] == [4096, 8192, 12288, 16384]
    assert ("train-000000.tar", 0) not in behaviour.asked  # what was whole is not fetched again


def test_a_server_without_ranges_sends_the_shard_anew(server: Server, there: Path) -> None:
    url, behaviour = server
    behaviour.drop[TAR] = [4096, 10]
    with_ranges = (there / TAR).stat().st_size
    assert fetch_shards(url).is_dir()
    behaviour.ranges = False
    behaviour.asked.clear()
    behaviour.drop[TAR] = [9000]
    folder = fetch_shards(url, folder=there.parent / "copy")
    assert content(folder) == content(there)
    assert [first for name, first in behaviour.asked if name == TAR] == [0, 0]
    assert with_ranges > remote.BLOCK


def test_a_server_that_forgot_ranges_restarts_a_shard(server: Server, there: Path, cache: Path) -> None:
    url, behaviour = server
    behaviour.drop[TAR] = [4096, *[10] * 4]
    with pytest.raises(UserError):
        fetch_shards(url)
    behaviour.ranges = False
    assert content(fetch_shards(url)) == content(there)


def test_a_server_in_trouble_is_asked_again(server: Server, there: Path) -> None:
    url, behaviour = server
    behaviour.status = {TAR: [503, 429, 500], "manifest.json": [502]}
    assert content(fetch_shards(url)) == content(there)


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("manifest.json", 404, "is not there; give the URL of a folder that `deeplense shards build` wrote"),
        (TAR, 404, "is not there: the copy behind the URL is incomplete; upload it again"),
        ("val-000000.npz", 404, "is not there: the copy behind the URL is incomplete; upload it again"),
        (TAR, 403, "cannot be read: 403, message='Forbidden'"),
    ],
)
def test_what_is_refused_is_asked_once(name: str, status: int, message: str, server: Server) -> None:
    url, behaviour = server
    behaviour.status[name] = [status]
    with pytest.raises(UserError) as error:
        fetch_shards(url)
    assert str(error.value).startswith(f"{url}/{name} {message}")
    assert [asked for asked, _ in behaviour.asked].count(name) == 1


PAGE = "is an HTML page, not a shard: what served it answered with an error; see what the URL shows"


@pytest.mark.parametrize("name", [TAR, "train-000001.npz"])
def test_an_error_page_is_not_published(name: str, server: Server, there: Path, cache: Path) -> None:
    url, behaviour = server
    behaviour.page.add(name)
    with pytest.raises(UserError) as error:
        fetch_shards(url)
    assert str(error.value) == f"{url}/{name} {PAGE}"
    (folder,) = (cache / "shards").iterdir()
    assert not (folder / name).exists()
    behaviour.page.clear()
    assert content(fetch_shards(url)) == content(there)


def test_a_page_of_the_right_size_is_not_published(server: Server, there: Path) -> None:
    url, _ = server
    whole = (there / TAR).read_bytes()
    (there / TAR).write_bytes(b"<html>".ljust(len(whole)))
    with pytest.raises(UserError) as error:
        fetch_shards(url)
    assert str(error.value) == f"{url}/{TAR} {PAGE}"


def test_a_wrong_checksum_is_told_and_begun_anew(server: Server, there: Path, cache: Path) -> None:
    url, _ = server
    whole = (there / TAR).read_bytes()
    (there / TAR).write_bytes(whole[:5000] + b"x" + whole[5001:])
    with pytest.raises(UserError) as error:
        fetch_shards(url)
    assert str(error.value) == (
        f"{url}/{TAR} does not belong to the manifest: its checksum differs; run it again, or upload the shards again"
    )
    (folder,) = (cache / "shards").iterdir()
    assert not (folder / f".{TAR}.part").exists()
    (there / TAR).write_bytes(whole)
    assert content(fetch_shards(url)) == content(there)


def test_a_short_tar_is_told(server: Server, there: Path) -> None:
    url, _ = server
    (there / TAR).write_bytes((there / TAR).read_bytes()[:-512])
    with pytest.raises(UserError, match=rf"{TAR} has another size than the manifest says \(\d+ bytes\); upload"):
        fetch_shards(url)


def test_an_index_of_another_shard_is_told(server: Server, there: Path) -> None:
    url, _ = server
    (there / "train-000000.npz").write_bytes((there / "train-000001.npz").read_bytes())
    with pytest.raises(UserError, match=r"train-000000\.npz does not belong to the manifest: its checksum differs"):
        fetch_shards(url)


def test_a_manifest_that_is_none_is_told(server: Server, there: Path) -> None:
    url, _ = server
    (there / "manifest.json").write_text("<html>")
    with pytest.raises(UserError, match=rf"{url}/manifest\.json is damaged: Expecting value"):
        fetch_shards(url)


def test_a_server_that_is_gone_is_told(there: Path) -> None:
    with serving(there.parent) as (address, _):
        url = f"{address}/toy"
    with pytest.raises(UserError, match=rf"{url}/manifest\.json cannot be read: .*; run it again"):
        fetch_shards(url)


def test_a_folder_of_other_shards_is_not_taken(server: Server, there: Path, tmp_path: Path) -> None:
    url, _ = server
    own = fetch_shards(url, folder=tmp_path / "own")
    assert fetch_shards(url, folder=own) == own
    build(tmp_path / "other", Toy({"train": 3}))
    with pytest.raises(UserError) as error:
        fetch_shards(url, folder=tmp_path / "other")
    assert str(error.value) == f"{tmp_path / 'other'} holds other shards than {url}; give another folder or delete it"


def test_a_full_disk_is_told_and_continued(server: Server, there: Path, cache: Path) -> None:
    url, _ = server
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, limit[1]))
    try:
        with pytest.raises(UserError) as error:
            fetch_shards(url)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert str(error.value).endswith(
        ": cannot write the shard: [Errno 27] File too large; "
        "make room or set DEEPLENSE_CACHE, and run it again: what was fetched is kept"
    )
    (folder,) = (cache / "shards").iterdir()
    assert not list(folder.glob("*.tar"))
    assert content(fetch_shards(url)) == content(there)


FETCH = "import sys; from deeplense_registry.shards import fetch_shards; print(fetch_shards(sys.argv[1]))"


def test_several_processes_share_the_work(server: Server, there: Path, cache: Path) -> None:
    url, behaviour = server
    children = [
        subprocess.Popen([sys.executable, "-c", FETCH, url], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    folders = {child.communicate(timeout=60)[0].strip() for child in children}
    assert [child.returncode for child in children] == [0, 0, 0]
    (folder,) = folders
    assert content(Path(folder)) == content(there)
    tars = [name for name, _ in behaviour.asked if name.endswith(".tar")]
    assert len(tars) == len({*tars}) == 6  # each came once, in one block


def test_ranges_are_asked_by_name() -> None:
    """As s3fs has it, whose second argument is a version."""

    class Versioned:
        def cat_file(self, path: str, version_id: str | None = None, start: int = 0, end: int = 0) -> bytes:
            assert version_id is None
            return path.encode()[start:end]

    assert remote.Remote("s3://b", Versioned(), "bucket", "", "").read("name", 2, 8) == b"cket/n"


def test_a_command_behind_a_chain_is_refused() -> None:
    with pytest.raises(UserError, match="is a command, not data"):
        fetch_shards("simplecache::pipe:cat x")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UserError) as error:
        materialise(shards("s3://bucket/toy"), processes=1)
    assert str(error.value) == '"s3://bucket/toy" cannot be read: pip install s3fs (Install s3fs to access S3)'


def test_what_the_manifest_tells_is_not_told_again(there: Path) -> None:
    assert materialise(shards(f"file://{there}"), processes=1) == there
    for path in (str(there), "https://example.org/toy"):
        with pytest.raises(UserError) as error:
            materialise(shards(path, pixel_scale=0.1), processes=1)
        assert str(error.value) == f"{path} has a manifest, which tells the pixel_scale; leave pixel_scale out"
