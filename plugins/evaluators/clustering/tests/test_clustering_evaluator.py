"""Clusters of planted embeddings: what must agree, what must not, and what is refused."""

import json
import subprocess
import sys
from itertools import permutations
from typing import get_args

import attrs
import numpy as np
import pytest
from deeplense_clustering import deeplense_components
from deeplense_clustering.agreement import AGREEMENTS, hungarian_accuracy
from deeplense_clustering.evaluator import Clustering, k_means
from deeplense_clustering.options import ClusteringOptions
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplense_registry import UserError, catalogue, scan
from deeplense_registry.evaluation import judge


def clustering(**options):
    return Clustering(ClusteringOptions(**{"targets": ("class",), "seeds": 2, "starts": 3, **options}))


def measured(evaluator, bench):
    return {m.metric: m for m in judge(evaluator, "clustering", bench)}


def test_separate_classes_are_found(planted):
    found = measured(clustering(), planted())
    assert set(found) == {"nmi", "ari", "hungarian_accuracy"}
    for m in found.values():
        assert m.value > 0.97
        assert (m.labels, m.split, m.repeats, m.target) == (0, "test", 2, "class")
        assert m.replicates.shape == (41, 2)


def test_noise_is_chance(planted):
    found = measured(clustering(), planted(signal=0.0))
    assert found["ari"].low < 0 < found["ari"].high
    assert found["nmi"].value < 0.05
    assert 0.33 < found["hungarian_accuracy"].value < 0.5


def test_a_methods_own_clusters_are_scored_beside(planted):
    bench = planted(assign=lambda features: features[:, :3].softmax(1))
    found = measured(clustering(), bench)
    for name in AGREEMENTS:
        assert found[f"{name}:assigned"].value > 0.97
        assert found[f"{name}:assigned"].repeats == 1


def test_more_clusters_than_classes_leave_images_over(planted):
    found = measured(clustering(k=9), planted())
    assert 0.3 < found["hungarian_accuracy"].value < 0.9
    assert found["nmi"].value > 0.6


def test_lengths_count_unless_embeddings_are_normalised(planted):
    bench = planted()
    bench.source.rows *= np.random.default_rng(1).uniform(0.1, 30, (150, 1)).astype(np.float32)
    assert measured(clustering(), bench)["ari"].value > 0.9
    assert measured(clustering(normalise=False), bench)["ari"].value < 0.7


def test_it_repeats_itself(planted):
    first, again = (json.dumps([m.as_json() for m in judge(clustering(), "c", planted(signal=1.0))]) for _ in "ab")
    assert first == again


def test_a_collapsed_encoder_agrees_with_nothing(planted):
    found = measured(clustering(), planted(rows=np.ones((150, 6))))
    assert found["nmi"].value == found["ari"].value == 0
    assert measured(clustering(), planted(rows=np.zeros((150, 6))))["ari"].value == 0


def test_a_class_without_test_images_is_left_out(planted):
    bench = planted()
    truth = bench.source.known["class"]
    truth[truth == 2] = -1
    assert measured(clustering(k=3), bench)["hungarian_accuracy"].value > 0.97


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": ("mass",)}, r"\[evaluate.clustering\] targets: .* no 'mass'"),
        ({"targets": ("class", "radius")}, "'radius' is a quantity"),
        ({"k": 200}, r"the test split has 150 images, fewer than the 200 clusters asked for; enlarge it, or lower k"),
    ],
)
def test_what_does_not_suit_is_refused(planted, options, message):
    with pytest.raises(UserError, match=message):
        measured(clustering(**options), planted())


def test_embeddings_that_are_not_finite_are_told(planted):
    rows = np.ones((150, 6))
    rows[:4] = np.nan
    with pytest.raises(UserError, match="of 4 of 150 images are not finite"):
        measured(clustering(), planted(rows=rows))


def test_too_few_labelled_test_images_are_told(planted):
    bench = planted()
    bench.source.known["class"][:] = -1
    with pytest.raises(UserError, match="'test' has 0 images labelled with 'class'"):
        measured(clustering(), bench)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 4), st.integers(2, 4), st.integers(1, 40), st.integers(0, 10**6))
def test_hungarian_accuracy_by_every_naming(classes, clusters, count, seed):
    rng = np.random.default_rng(seed)
    truth, found = rng.integers(0, classes, count), rng.integers(0, clusters, count)
    names = range(max(classes, clusters))
    best = max(np.mean(np.array(naming)[found] == truth) for naming in permutations(names))
    assert hungarian_accuracy(truth, found) == pytest.approx(best)


@pytest.mark.parametrize("name", AGREEMENTS)
def test_names_of_clusters_do_not_matter(name):
    truth = np.random.default_rng(0).integers(0, 4, 100)
    assert AGREEMENTS[name].score(truth, np.array([7, 3, 11, 0])[truth]) == pytest.approx(1)


def test_other_starts_are_other_runs():
    rows = np.random.default_rng(0).normal(size=(200, 4))
    runs = [k_means(rows, 8, 1, seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (runs[0] != runs[2]).any()


def test_the_options_offer_what_there_is():
    offered = attrs.resolve_types(ClusteringOptions).__attrs_attrs__[1].type
    assert set(get_args(get_args(offered)[0])) == set(AGREEMENTS)


def test_the_entry_point_works():
    rows = catalogue([one for one in scan() if one.distribution == "deeplense-clustering"])
    assert [(row.found.kind, row.found.name, row.state) for row in rows] == [("evaluator", "clustering", "ok")]
    assert len(list(deeplense_components())) == 1


def test_declaring_and_options_import_no_torch():
    code = "import deeplense_clustering.options, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
