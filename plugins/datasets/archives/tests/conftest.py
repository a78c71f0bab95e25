"""Archives made as the published scripts make them, in miniature."""

from __future__ import annotations

import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeplense_registry.components import find, load_options
from deeplense_registry.shards import ShardSet, materialise
from deeplense_registry.spec import Instance

SIDE = 12


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPLENSE_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def options() -> Callable[..., Any]:
    return load_options(find("dataset", "archives"))


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., ShardSet]:
    """From the table of a spec to open shards."""
    number = iter(range(100))

    def build(processes: int = 1, **table: Any) -> ShardSet:
        row = find("dataset", "archives")
        instance = Instance(name="archives", use="archives", row=row, options=load_options(row)(**table))
        out = tmp_path / f"shards-{next(number)}"
        return ShardSet.open(materialise(instance, processes=processes, folder=out))

    return build


def _pair(image: np.ndarray, mass: float) -> np.ndarray:
    """``np.array([image, mass])`` as NumPy before 1.24 understood it."""
    pair = np.empty(2, object)
    pair[0], pair[1] = image, mass
    return pair


def _old(data: bytes) -> bytes:
    """As NumPy 1.x pickled (protocol 2 or 3): its modules are called ``numpy.core``."""
    assert b"cnumpy._core.multiarray\n" in data
    return data.replace(b"cnumpy._core.", b"cnumpy.core.")


def _npy(array: np.ndarray, protocol: int = 4, old: bool = False) -> bytes:
    stream = io.BytesIO()
    if array.dtype != object:
        np.save(stream, array)
        return stream.getvalue()
    np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(array))
    data = pickle.dumps(array, protocol)
    return stream.getvalue() + (_old(data) if old else data)


@pytest.fixture
def npy() -> Callable[..., bytes]:
    return _npy


@pytest.fixture
def pair() -> Callable[..., np.ndarray]:
    return _pair


Files = dict[str, bytes]


@pytest.fixture
def model() -> Callable[..., tuple[Files, dict[str, np.ndarray], dict[str, float]]]:
    """Models I to III: files by name, and the images and masses in them."""

    def model(top: str = "Model_II", count: int = 10, counts: bool = False, old: bool = False, seed: int = 0) -> Any:
        rng = np.random.default_rng([seed, len(top)])
        files, images, masses = {}, {}, {}
        for name in ("axion", "cdm", "no_sub"):
            for number in range(count):
                image = rng.poisson(40, (SIDE, SIDE)) if counts else rng.normal(1, 0.1, (SIDE, SIDE))
                file = f"{top}/{name}/{name}_sim_{rng.integers(2**62)}.npy"
                images[file] = image
                array = image
                if name == "axion":
                    masses[file] = 10 ** rng.uniform(-24, -22)
                    array = _pair(image, masses[file])
                files[file] = _npy(array, (2 + number % 2) if old else (3 + number % 3), old)
        return files, images, masses

    return model


@pytest.fixture
def pack() -> Callable[..., Path]:
    """Write files as a folder or an archive, by the ending of its name; as macOS does it, with what it adds."""

    def pack(path: Path, files: Files, junk: bool = True) -> Path:
        content = {**dict(_junk(files)), **files} if junk else files
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.name.endswith(".zip"):
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, data in content.items():
                    archive.writestr(name, data)
        elif ".t" in path.name:
            with tarfile.open(path, "w" if path.name.endswith(".tar") else "w:gz") as tar:
                for name, data in content.items():
                    member = tarfile.TarInfo(name)
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
        else:
            for name, data in content.items():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                (path / name).write_bytes(data)
        return path

    return pack


def _junk(files: Files) -> Iterator[tuple[str, bytes]]:
    for name in list(files)[:3]:
        folder, _, file = name.rpartition("/")
        yield f"{folder}/.DS_Store".lstrip("/"), b"\0\0\0\1Bud1"
        yield f"{folder}/._{file}".lstrip("/"), b"\0\5\x16\7"
        yield f"__MACOSX/{folder}/._{file}", b"\0\5\x16\7"
