"""Search, galleries and similarity."""

import importlib.util

import numpy as np
import pytest
from deeplense_discovery import search
from deeplense_discovery.gallery import spread_out
from deeplense_discovery.options import SimilarityOptions
from deeplense_discovery.search import mean_distance, nearest, nearest_by_faiss
from deeplense_discovery.similarity import Similarity
from hypothesis import given
from hypothesis import strategies as st

from deeplense_registry import UserError
from deeplense_registry.evaluation import judge

HAS_FAISS = importlib.util.find_spec("faiss") is not None


def similarity(*targets, **options):
    return Similarity(SimilarityOptions(targets=targets, **options))


def measured(evaluator, bench):
    return {m.metric: m for m in judge(evaluator, "similarity", bench)}


@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 7), st.integers(2, 5))
def test_search_in_chunks_by_a_naive_loop(seed, count, columns, rows):
    rng = np.random.default_rng(seed)
    queries, gallery = rng.normal(size=(6, 4)), rng.normal(size=(9, 4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_QUERIES", rows)
        patch.setattr(search, "_GALLERY", columns)
        found = nearest(queries, gallery, count)
    for n, query in enumerate(queries):
        cosines = gallery @ query / np.linalg.norm(gallery, axis=1) / np.linalg.norm(query)
        np.testing.assert_allclose(found.similarity[n], np.sort(cosines)[::-1][:count], atol=1e-5)
        np.testing.assert_allclose(cosines[found.index[n]], found.similarity[n], atol=1e-5)
        assert len(set(found.index[n])) == count


def test_a_query_is_not_its_own_neighbour_even_among_copies():
    gallery = np.ones((5, 3))
    found = nearest(gallery, gallery, 4, own=np.arange(5))
    assert all(n not in row and len(set(row)) == 4 for n, row in enumerate(found.index.tolist()))


def test_zeros_are_equally_far_from_all_and_few_references_are_all():
    np.testing.assert_allclose(mean_distance(np.zeros((1, 3)), np.eye(3), 99), [1.0])
    np.testing.assert_allclose(mean_distance(np.eye(3)[:1], np.eye(3), 3), [2 / 3])


@pytest.mark.skipif(not HAS_FAISS, reason="faiss-cpu is optional")
def test_faiss_finds_the_same(planted):
    rng = np.random.default_rng(0)
    gallery = rng.normal(size=(50, 6))
    for own in (None, np.arange(50)):
        ours, theirs = nearest(gallery, gallery, 7, own=own), nearest_by_faiss(gallery, gallery, 7, own=own)
        np.testing.assert_array_equal(ours.index, theirs.index)
        np.testing.assert_allclose(ours.similarity, theirs.similarity, atol=1e-6)
    exact, faiss = (measured(similarity("class", search=name), planted()) for name in ("exact", "faiss"))
    assert {name: m.value for name, m in exact.items()} == {name: m.value for name, m in faiss.items()}


@pytest.mark.skipif(HAS_FAISS, reason="it is installed")
def test_missing_faiss_is_named_with_the_command(planted):
    with pytest.raises(UserError, match="faiss-cpu, which is not installed: pip install faiss-cpu"):
        measured(similarity("class", search="faiss"), planted())


@pytest.mark.parametrize("among", ["train", "test"])
def test_separate_classes_are_found_and_noise_is_the_base_rate(planted, among):
    found = measured(similarity("class", among=among), planted(signal=30.0))
    assert set(found) == {f"precision_at_{k}{name}" for k in (1, 10) for name in ("", "_axion", "_cdm", "_none")}
    assert all(m.value == 1.0 for m in found.values())
    chance = measured(similarity("class", among=among), planted(signal=0.0, sizes=(900, 60, 900)))
    assert abs(chance["precision_at_10"].value - 1 / 3) < 0.03


def test_neighbours_share_a_quantity_or_do_not(planted):
    near = measured(similarity("radius", k=(1,)), planted(signal=5.0, sizes=(900, 60, 300)))["spread_at_1"]
    assert near.low <= near.value < 0.8
    chance = measured(similarity("radius", k=(10,)), planted(signal=0.0, sizes=(900, 60, 300)))["spread_at_10"]
    assert abs(chance.value - 1) < 0.1


def test_the_gallery_is_shown_and_is_the_same_again(planted):
    pictures = []
    for _ in range(2):
        bench = planted()
        measured(similarity("class", "radius", queries=4, shown=3), bench)
        pictures.append(bench.shown.pictures)
    assert set(pictures[0]) == {"similarity/class", "similarity/radius"}
    for name, picture in pictures[0].items():
        assert picture.shape[2] == 3
        assert picture.min() >= 0
        assert picture.max() <= 1
        assert picture.std() > 0.05
        np.testing.assert_array_equal(picture, pictures[1][name])


def test_queries_are_spread_over_classes_and_ranks():
    rng = np.random.default_rng(0)
    classes = np.array([0] * 90 + [1] * 6 + [2] * 4)
    assert np.bincount(classes[spread_out(classes, 6, rng)]).tolist() == [2, 2, 2]
    assert len(spread_out(classes[:3], 6, rng)) == 3
    values = rng.normal(size=50)
    shown = values[spread_out(values, 5, rng)]
    assert shown.tolist() == sorted(shown)
    assert (shown[0], shown[-1]) == (values.min(), values.max())


def test_images_without_the_target_are_neither_queries_nor_found(planted):
    bench = planted(signal=30.0)
    bench.source.known["train"]["class"][:] = -1
    bench.source.known["train"]["class"][:30] = np.arange(30) % 3
    bench.source.rows["train"] = bench.source.rows["train"].copy()
    bench.source.rows["train"][:30, :3] = 30 * np.eye(3)[np.arange(30) % 3]
    assert measured(similarity("class", k=(10,)), bench)["precision_at_10"].value == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": ("mass",)}, r"\[evaluate.similarity\].*no target 'mass'; its targets: 'class', 'radius'"),
        ({"targets": ("class",), "among": "tset"}, "no split 'tset'; its splits: 'train', 'val', 'test'"),
        ({"targets": ("class",), "k": (1, 500)}, r"the split 'train' has \d+ images .* k = 500 .* needs 500"),
    ],
)
def test_similarity_refuses_in_one_message(planted, options, message):
    with pytest.raises(UserError, match=message):
        measured(Similarity(SimilarityOptions(**options)), planted())


def test_a_class_without_queries_and_a_constant_quantity_are_refused(planted):
    bench = planted()
    truth = bench.source.known["test"]["class"]
    truth[truth == 2] = 1
    with pytest.raises(UserError, match="no test image is known to be 'none'"):
        measured(similarity("class"), bench)
    for split in ("train", "test"):
        bench.source.known[split]["radius"][:] = 1.0
    with pytest.raises(UserError, match="'radius' is the same for half"):
        measured(similarity("radius"), bench)
