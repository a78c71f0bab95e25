"""Invariance, maps, attention, and how they are drawn."""

import importlib.util
import subprocess
import sys

import attrs
import numpy as np
import pytest
import torch
from deeplense_discovery import deeplense_components
from deeplense_discovery.attention import Attention, maps
from deeplense_discovery.drawing import COLOURS, colour, marker, titled, valued, visible
from deeplense_discovery.invariance import AXES, Invariance, table_of
from deeplense_discovery.map import Map
from deeplense_discovery.options import AttentionOptions, InvarianceOptions, MapOptions
from deeplense_discovery.protocol import optional

from deeplense_registry import Features, Target, UserError, catalogue, scan
from deeplense_registry.evaluation import judge

HAS_UMAP = importlib.util.find_spec("umap") is not None


def measured(evaluator, bench):
    return {m.metric: m for m in judge(evaluator, "one", bench)}


def invariance(**options):
    return Invariance(InvarianceOptions(**options))


def is_picture(image):
    return image.ndim == 3 and image.shape[2] == 3 and 0 <= image.min() < image.max() <= 1


def test_distances_of_all_augmentations_and_their_curves(planted):
    bench = planted()
    found = measured(invariance(), bench)
    assert set(found) == {f"distance_{name}" for name in ("views", *AXES)}
    assert all(m.low <= m.value <= m.high for m in found.values())
    assert is_picture(bench.shown.pictures["invariance"])


def test_distance_grows_with_the_strength_and_is_a_ratio(planted):
    bench = planted(sizes=(240, 60, 40))
    rows = bench.embeddings("test").astype(float)
    apart = np.mean([np.linalg.norm(a - b) for n, a in enumerate(rows) for m, b in enumerate(rows) if n != m])
    none = {"rotate": False, "shift": 0.0, "zoom": 1.0, "psf": 0.0, "mask": 0.0}
    weak, strong = (measured(invariance(**none, noise=level), bench) for level in (0.1, 1.0))
    assert set(weak) == {"distance_views", "distance_noise"}
    assert strong["distance_noise"].value == pytest.approx(10 * weak["distance_noise"].value, rel=0.01)
    seed = int(bench.rng("invariance", "noise").integers(2**31))
    views = bench.views("test", np.arange(40), 256, seed=seed, table=table_of("noise", 1.0))
    seen = bench.backbone(next(views)).pooled.numpy()
    expected = np.linalg.norm(seen - rows, axis=1).mean() / apart
    assert strong["distance_noise"].value == pytest.approx(expected, rel=1e-5)


def test_curves_end_where_views_end(planted):
    bench = planted(sizes=(60, 60, 20))
    one = invariance(rotate=False, shift=0.0, zoom=9.0, noise=0.0, psf=0.0, mask=0.8, curve=(2.0,))
    assert one._others("mask", 0.8) == one._others("zoom", 9.0) == []
    assert one._others("shift", 3.0) == [6.0]
    assert set(measured(one, bench)) == {"distance_views", "distance_zoom", "distance_mask"}
    off = invariance(rotate=False, shift=0.0, zoom=1.0, noise=0.0, psf=0.0, mask=0.0)
    again = planted(sizes=(60, 60, 20))
    assert set(measured(off, again)) == {"distance_views"}
    assert not again.shown.pictures


def test_at_most_so_many_images_and_each_run_the_same(planted):
    first, again = (measured(invariance(most=30), planted()) for _ in "ab")
    assert first == again
    assert first["distance_noise"].value != measured(invariance(most=40), planted())["distance_noise"].value


def test_invariance_refuses_in_one_message(planted):
    with pytest.raises(UserError, match="no split 'tset'"):
        measured(invariance(split="tset"), planted())
    with pytest.raises(UserError, match="one image"):
        measured(invariance(), planted(sizes=(60, 60, 1)))
    bench = planted()
    bench.source.rows["test"] = np.zeros_like(bench.source.rows["test"])
    with pytest.raises(UserError, match="collapsed"):
        measured(invariance(), bench)


def test_the_map_shows_each_target_and_hands_points_on(planted):
    bench = planted(signal=20.0)
    found = measured(Map(MapOptions(most=60)), bench)
    assert found["trustworthiness"].value > 0.8
    assert set(bench.shown.pictures) == {"map/class", "map/radius"}
    assert all(is_picture(picture) for picture in bench.shown.pictures.values())
    vectors, labels, thumbnails = bench.shown.spaces["map"]
    assert vectors.shape == (60, 8)
    assert list(labels) == ["name", "class", "radius"]
    assert {len(column) for column in labels.values()} == {60}
    assert set(labels["class"]) == {"axion", "cdm", "none", "unknown"}
    assert thumbnails.shape == (60, 32, 32)
    again = planted(signal=20.0)
    measured(Map(MapOptions(most=60, targets=("class",), thumbnail=0)), again)
    np.testing.assert_array_equal(again.shown.pictures["map/class"], bench.shown.pictures["map/class"])
    assert again.shown.spaces["map"][2] is None


def test_a_map_of_few_images_of_which_nothing_is_known(planted):
    bench = planted(sizes=(60, 60, 10), unknown=1.0)
    assert measured(Map(MapOptions()), bench)
    assert is_picture(bench.shown.pictures["map/radius"])


@pytest.mark.skipif(not HAS_UMAP, reason="umap-learn is optional")
@pytest.mark.filterwarnings("ignore")
def test_umap_lays_it_flat_too(planted):
    first, again = planted(signal=20.0), planted(signal=20.0)
    for bench in (first, again):
        assert measured(Map(MapOptions(method="umap")), bench)["trustworthiness"].value > 0.8
    np.testing.assert_array_equal(first.shown.pictures["map/class"], again.shown.pictures["map/class"])


@pytest.mark.skipif(HAS_UMAP, reason="it is installed")
def test_missing_umap_is_named_with_the_command(planted):
    with pytest.raises(UserError, match="umap-learn, which is not installed: pip install umap-learn"):
        measured(Map(MapOptions(method="umap")), planted())


def test_a_module_that_lacks_a_module_of_its_own_says_so(tmp_path, monkeypatch):
    (tmp_path / "half_installed.py").write_text("import no_such_module")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        optional("half_installed", "half", "this")


@pytest.mark.parametrize(
    ("options", "sizes", "message"),
    [
        ({"targets": ("mass",)}, (60, 60, 60), "no target 'mass'"),
        ({"split": "tset"}, (60, 60, 60), "no split 'tset'"),
        ({}, (60, 60, 9), "'test' has 9 images, and a map needs 10"),
    ],
)
def test_map_refuses_in_one_message(planted, options, sizes, message):
    with pytest.raises(UserError, match=message):
        measured(Map(MapOptions(**options)), planted(sizes=sizes))


def test_attention_shows_examples_of_each_class(planted):
    first, again = planted(), planted()
    for bench in (first, again):
        assert measured(Attention(AttentionOptions(examples=2)), bench) == {}
    assert is_picture(first.shown.pictures["attention"])
    np.testing.assert_array_equal(first.shown.pictures["attention"], again.shown.pictures["attention"])


def test_attention_without_classes_names_the_images(planted, bench_of):
    bench = planted()
    quantity = {split: {"radius": known["radius"]} for split, known in bench.source.known.items()}
    bare = bench_of(bench.source.rows, quantity, {"radius": Target(unit="arcsec")})
    measured(Attention(AttentionOptions()), bare)
    assert is_picture(bare.shown.pictures["attention"])


def test_attention_refuses_in_one_message(planted):
    with pytest.raises(UserError, match="'radius' is a quantity, and a class is needed"):
        measured(Attention(AttentionOptions(target="radius")), planted())
    with pytest.raises(UserError, match="no split 'tset'"):
        measured(Attention(AttentionOptions(split="tset")), planted())
    with pytest.raises(UserError, match="no image of the split 'test' has the target 'class'"):
        measured(Attention(AttentionOptions()), planted(unknown=1.0))


def test_maps_are_norms_of_each_level_and_attention_where_it_is_offered():
    grid = torch.zeros(2, 3, 4, 4)
    grid[0, :, 1, 2] = 2.0
    heads = torch.rand(2, 5, 2, 2)
    features = Features(
        pooled=grid.mean((2, 3)), grid=grid, pyramid=(grid, grid[..., :2, :2]), aux={"attention": heads}
    )
    found = maps(features, (8, 8))
    assert [title for title, _ in found] == ["norm, 4x4", "norm, 2x2", "attention"]
    assert all(one.shape == (2, 8, 8) for _, one in found)
    assert divmod(int(found[0][1][0].argmax()), 8) in {(r, c) for r in (2, 3) for c in (4, 5)}
    assert found[0][1][0].max() > 0.5
    assert not found[0][1][1].any()  # all cells alike
    merged = attrs.evolve(features, pyramid=(), aux={"attention": heads.mean(1)})
    plain, single = maps(merged, (8, 8))
    assert plain[0] == "norm, 4x4"
    torch.testing.assert_close(single[1], found[2][1])


def test_flux_becomes_visible():
    rng = np.random.default_rng(0)
    assert visible(rng.normal(size=(4, 1, 6, 5))).shape == (4, 6, 5)
    assert visible(rng.normal(size=(4, 2, 6, 5))).shape == (4, 6, 5)
    colours = visible(1e6 * rng.normal(size=(4, 3, 6, 5)))
    assert colours.shape == (4, 6, 5, 3)
    assert colours.min() == 0
    assert colours.max() == 1
    assert np.isfinite(visible(np.ones((1, 1, 4, 4)))).all()


def test_words_and_signs():
    classes, radius = Target(classes=("a", "b")), Target(unit="arcsec")
    assert [valued(classes, n) for n in (0, 1, -1)] == ["a", "b", "unknown"]
    assert [valued(radius, x) for x in (1.2345, np.nan)] == ["1.23 arcsec", "unknown"]
    assert titled("einstein_radius", "arcsec") == "einstein radius (arcsec)"
    assert len({(colour(n), marker(n)) for n in range(64)}) == 64
    assert len(set(COLOURS)) == 8


def test_the_six_entry_points_work():
    rows = catalogue([one for one in scan() if one.distribution == "deeplense-discovery"])
    names = ("similarity", "anomaly", "trust", "invariance", "map", "attention")
    assert {(row.found.kind, row.found.name, row.state) for row in rows} == {
        ("evaluator", name, "ok") for name in names
    }
    assert len(list(deeplense_components())) == 6


def test_declaring_and_options_import_nothing_heavy():
    heavy = "{'torch', 'sklearn', 'matplotlib'} & set(sys.modules)"
    code = f"import deeplense_discovery.options, sys; sys.exit(bool({heavy}))"
    subprocess.run([sys.executable, "-c", code], check=True)
