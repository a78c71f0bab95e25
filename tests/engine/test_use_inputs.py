"""Images of every kind are opened, and what is wrong with them is said of the one that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import ToyBackbone

from deeplense_registry import ImageShape, UserError
from deeplense_registry.engine import Encoder
from deeplense_registry.engine.use import Stack, embed_stack, first, open_encoder, open_images, open_run
from deeplense_registry.spec import FluxTable
from deeplense_registry.views import BandStatistics, Scaling

GREY, COLOUR = ImageShape(1, 12, 12), ImageShape(3, 12, 12)
EVERY = np.arange(2)


def saved(path: Path, array: Any) -> Path:
    np.save(path, array)
    return path


def pixels(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).random(shape, np.float32)


def encoder(bands: int = 1) -> Encoder:
    torch.manual_seed(0)
    backbone = ToyBackbone(None, ImageShape(bands, 12, 12))
    scaling = Scaling(FluxTable(), BandStatistics((0.5,) * bands, (2.0,) * bands))
    return Encoder(backbone, scaling, {}).eval()


@pytest.mark.parametrize(
    ("shape", "of", "count"),
    [
        ((12, 12), GREY, 1),
        ((1, 12, 12), GREY, 1),
        ((5, 12, 12), GREY, 5),
        ((5, 1, 12, 12), GREY, 5),
        ((3, 12, 12), COLOUR, 1),
        ((5, 3, 9, 7), COLOUR, 5),
    ],
)
def test_a_file_is_one_image_or_a_stack(tmp_path: Path, shape: tuple[int, ...], of: ImageShape, count: int) -> None:
    array = pixels(*shape)
    images = open_images(saved(tmp_path / "a.npy", array), of)
    flat = images.read(np.arange(count))
    assert flat.shape == (count, of.channels, *shape[-2:])
    np.testing.assert_array_equal(flat.ravel(), array.ravel())
    assert images.names.tolist() == (["a"] if count == 1 else [f"a-{n:06d}" for n in range(count)])


@pytest.mark.parametrize("dtype", [">f4", "f8", "u2", "i8", "f2"])
def test_numbers_of_every_kind_become_float32(tmp_path: Path, dtype: str) -> None:
    array = (100 * pixels(2, 12, 12)).astype(dtype)
    read = open_images(saved(tmp_path / "a.npy", array), GREY).read(EVERY)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read[:, 0], array.astype(np.float32))


def test_a_folder_of_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    arrays = {name: pixels(12, 12) + n for n, name in enumerate(("b", "a", "c"))}
    for name, array in arrays.items():
        saved(tmp_path / f"{name}.npy", array)
    images = open_images(tmp_path, GREY)
    assert images.names.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(images.read(np.array([2, 0]))[:, 0], [arrays["c"], arrays["a"]])


def test_shards_a_spec_and_a_run(blobs: Path, toy_run: Any, tmp_path: Path) -> None:
    run = toy_run("contrast")
    own = open_images(blobs, GREY, "val")
    for place in (run.path, tmp_path / "spec.toml"):
        images = open_images(place, GREY, "val")
        assert images.names.tolist() == own.names.tolist()
        np.testing.assert_array_equal(images.read(EVERY), own.read(EVERY))
    assert own.targets["class"].text(1) == "two"
    assert (own.targets["class"].text(0), own.targets["width"].text(0)) == ("-", "-")
    assert own.targets["width"].text(1) == f"{own.targets['width'].values[1]:.4g}"
    assert len(first(own, 3)) == 3
    with pytest.raises(UserError, match="no split 'test', but: train, val"):
        open_images(run.path, GREY)
    with pytest.raises(UserError, match="images of 1 bands, but the encoder takes 3"):
        open_images(blobs, COLOUR, "val")


def test_a_spec_of_several_data_sets(toy_run: Any, tmp_path: Path) -> None:
    toy_run("contrast")
    text = (tmp_path / "spec.toml").read_text()
    (tmp_path / "two.toml").write_text(
        text.replace("[method", f"[dataset.other]\nuse='shards'\npath='{tmp_path}'\n[method")
    )
    with pytest.raises(UserError, match=r"several data sets \(blobs, other\); give a spec with one"):
        open_images(tmp_path / "two.toml", GREY)


WRONG = [
    (pixels(3, 12, 12), COLOUR.channels, None),
    (pixels(4, 3, 12, 12), 1, "images of 3 bands, but the encoder takes 1"),
    (pixels(2, 12, 12), 3, "images of 2 bands, but the encoder takes 3"),
    (pixels(12), 1, r"an array of shape \(12,\) is no image"),
    (pixels(1, 1, 1, 12, 12), 1, r"an array of shape \(1, 1, 1, 12, 12\) is no image"),
    (pixels(0, 1, 12, 12), 1, "no images"),
    (np.array([["a"]]), 1, "holds <U1, not real numbers"),
    (np.ones((12, 12), complex), 1, "holds complex128, not real numbers"),
]


@pytest.mark.parametrize(("array", "bands", "message"), WRONG)
def test_what_is_no_image_is_refused(tmp_path: Path, array: Any, bands: int, message: str | None) -> None:
    path = saved(tmp_path / "a.npy", array)
    if message is None:
        assert len(open_images(path, ImageShape(bands, 12, 12))) == 1
        return
    with pytest.raises(UserError, match=f"a.npy: {message}"):
        open_images(path, ImageShape(bands, 12, 12))


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00v\x00{'descr'", b"words"])
def test_a_file_that_is_no_array(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(UserError, match=r"a.npy: cannot be read as a .npy array of numbers"):
        open_images(tmp_path / "a.npy", GREY)


def test_pickled_objects_are_not_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    for place in (tmp_path / "a.npy", tmp_path):
        with pytest.raises(UserError, match=r"a.npy: cannot be read as a .npy array of numbers"):
            open_images(place, GREY).read(np.arange(1))


def test_files_of_a_folder_must_be_alike(tmp_path: Path) -> None:
    saved(tmp_path / "a.npy", pixels(12, 12))
    saved(tmp_path / "b.npy", pixels(12, 9))
    with pytest.raises(UserError, match=r"b.npy: images of 1x12x9 and 1x12x12 lie in one folder"):
        open_images(tmp_path, GREY).read(EVERY)
    saved(tmp_path / "b.npy", pixels(3, 12, 12))
    with pytest.raises(UserError, match=r"b.npy: images of 3 bands, but the encoder takes 1"):
        open_images(tmp_path, GREY).read(EVERY)


def test_where_nothing_is(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder; give a run's folder"):
        open_images(tmp_path / "absent", GREY)
    with pytest.raises(UserError, match="no images here; give a run's folder"):
        open_images(tmp_path, GREY)
    with pytest.raises(UserError, match="no run here; give the folder of a run"):
        open_run(tmp_path)
    (tmp_path / "card.json").write_text("{}")
    with pytest.raises(UserError, match="an encoder without images"):
        open_images(tmp_path, GREY)


def test_shards_are_no_run(blobs: Path) -> None:
    with pytest.raises(UserError, match="no run here; give the folder of a run"):
        open_run(blobs)


def test_a_run_without_an_encoder(toy_run: Any) -> None:
    run = toy_run("contrast")
    run.encoder.unlink()
    with pytest.raises(UserError, match="its run is finished and has no encoder yet"):
        open_run(run.path)


def test_an_encoder_computes_with_the_threads_of_its_run(toy_run: Any) -> None:
    run = toy_run("contrast")
    spec = run.path / "spec.toml"
    assert "threads = 1\n" in spec.read_text()
    spec.write_text(spec.read_text().replace("threads = 1\n", "threads = 2\n"))
    open_encoder(run.path)
    assert torch.get_num_threads() == 2
    spec.write_text(
        spec.read_text().replace("threads = 2\n", "").replace("reproducible = false", "reproducible = true")
    )
    open_encoder(run.path)
    assert torch.get_num_threads() == 1
    spec.write_text("[trai")
    with pytest.raises(UserError, match=r"spec.toml: damaged"):
        open_encoder(run.path)
    spec.unlink()
    assert open_encoder(run.path).device.type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_embeddings_are_those_of_the_encoder_in_order(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    array, one = pixels(600, 1, 12, 12), encoder()
    images = open_images(saved(tmp_path / "a.npy", array), GREY)
    vectors = embed_stack(one, images, lambda done, total: told.append((done, total)))
    with torch.no_grad():
        expected = one(torch.from_numpy(array)).pooled.numpy()
    np.testing.assert_allclose(vectors, expected, rtol=1e-5, atol=1e-6)
    assert told == [(256, 600), (512, 600), (600, 600)]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_an_image_that_is_not_finite_is_named(tmp_path: Path, value: float) -> None:
    array = pixels(300, 1, 12, 12).astype(np.float64)
    array[290, 0, 3, 4] = value
    images = open_images(saved(tmp_path / "a.npy", array), GREY)
    with pytest.raises(UserError, match=r"a.npy: image a-000290 has pixels that are not finite"):
        embed_stack(encoder(), images)


def test_what_reading_refuses_reaches_the_caller() -> None:
    def read(index: Any) -> Any:
        raise UserError("the disk is gone")

    with pytest.raises(UserError, match="the disk is gone"):
        embed_stack(encoder(), Stack(names=np.array(["a"]), read=read, where="there"))
