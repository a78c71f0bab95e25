"""The data set: what it promises of its samples."""

import functools
import subprocess
import sys
from math import log
from typing import get_args

import attrs
import numpy as np
import pytest
import torch
from deeplense_lenses.options import LensesOptions, Vary
from deeplense_lenses.recipes import MACRO, RECIPES
from deeplense_lenses.source import LensSimulator
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deeplense_registry import ImageShape, UserError
from deeplense_registry.components import find, load_factory, load_options
from deeplense_registry.spec.structure import structure

SMALL = LensesOptions(size=24, train=21, val=4, test=5)


def samples(options, split="train", parts=1):
    return [one for part in range(parts) for one in LensSimulator(options).samples(split, part, parts)]


def as_bytes(samples):
    return [(one.name, one.image.tobytes(), one.targets, one.meta) for one in samples]


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Small tensors gain nothing from threads, and lose much where others keep the cores busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@functools.cache
def whole():
    return as_bytes(samples(SMALL))


def test_the_plugin_is_found():
    row = find("dataset", "lenses")
    assert row.component is not None
    assert load_options(row) is LensesOptions
    assert load_factory(row) is LensSimulator


def test_the_light_modules_import_no_torch():
    code = "import sys, deeplense_lenses.options; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@settings(max_examples=6, deadline=None)
@given(parts=st.integers(2, 30))
def test_the_same_bytes_in_any_number_of_parts(parts):
    assert as_bytes(samples(SMALL, parts=parts)) == whole()


FULL = {
    "recipe": "varied",
    "bands": ("g", "r", "i"),
    "lens_light": True,
    "pairs": "same-lens",
    "peak_snr": (20.0, 80.0),
}


@pytest.mark.parametrize("more", [{}, {"noise": "as-published"}, {"recipe": "model-2", "noise": "intended"}, FULL])
def test_the_same_bytes_on_any_number_of_threads(more):
    options = attrs.evolve(SMALL, size=98, **more)
    one = as_bytes(samples(options))
    try:
        torch.set_num_threads(3)
        assert as_bytes(samples(options, parts=4)) == one
    finally:
        torch.set_num_threads(1)


def test_a_part_read_again_gives_the_same_bytes():
    source = LensSimulator(SMALL)
    assert as_bytes(source.samples("val", 0, 1)) == as_bytes(source.samples("val", 0, 1))


EVERY = [
    {"recipe": recipe, "noise": noise}
    for recipe in ("model-1", "model-2", "model-3")
    for noise in ("gaussian", "as-published", "intended")
] + [{"recipe": "varied"}, {"recipe": "varied", "noise": "intended", "lens_light": True}, FULL]


@pytest.mark.parametrize("more", EVERY, ids=lambda more: " ".join(map(str, more.values())))
def test_samples_are_of_the_cards_shape(more):
    options = attrs.evolve(SMALL, **more)
    card = LensSimulator(options).card()
    bands = 3 if "bands" in more else 1
    assert card.shape == options.facts().shape == ImageShape(channels=bands, height=24, width=24)
    assert card.partners == (2 if "pairs" in more else 1)
    assert card.splits == {"train": 21, "val": 4, "test": 5}
    assert card.pixel_scale == pytest.approx({"model-1": 7.5, "model-3": 5.12}.get(options.recipe, 6.464) / 24)
    for split, count in card.splits.items():
        made = samples(options, split)
        assert len({one.name for one in made}) == count
        for one in made:
            assert one.image.shape == ((2, bands, 24, 24) if "pairs" in more else (bands, 24, 24))
            assert one.image.dtype == np.float32
            assert np.isfinite(one.image).all()
            assert set(one.targets) == set(card.targets) - (
                set() if one.targets["class"] == 0 else {"log10_axion_mass"}
            )


def test_classes_are_balanced_mixed_and_in_label_order():
    made = samples(attrs.evolve(SMALL, train=300, size=8))
    labels = [one.targets["class"] for one in made]
    assert [labels.count(label) for label in range(3)] == [100, 100, 100]
    assert all(labels[start : start + 30].count(label) > 0 for start in range(0, 300, 30) for label in range(3))
    substructures = {one.targets["class"]: one.meta["substructures"] for one in made}
    assert substructures == {0: 100, 1: 25, 2: 0}
    assert LensSimulator(SMALL).card().targets["class"].classes == ("axion", "cdm", "no_sub")


def test_what_was_drawn_is_kept():
    for one in samples(attrs.evolve(SMALL, vary=("einstein_radius",))):
        vortex = {"vortex_angle", "log10_axion_mass"}
        assert vortex & set(one.meta) == (vortex if one.targets["class"] == 0 else set())
        assert {"source_x", "source_size", "shear_1", "ellipticity_2", "substructure_mass", "noise"} <= set(one.meta)
        assert one.meta["einstein_radius"] == one.targets["einstein_radius"]
        assert one.meta["psf_sigma"] == pytest.approx(0.087 / 2.35482 / (7.5 / 24))
        assert one.meta["peak_snr"] == 60.0
    assert {"exposure"} <= set(samples(attrs.evolve(SMALL, noise="as-published"))[0].meta)


def test_a_larger_split_holds_the_smaller_and_noise_leaves_lenses_alone():
    small = {one.name: one for one in samples(SMALL)}
    large = {one.name: one for one in samples(attrs.evolve(SMALL, train=40))}
    published = {one.name: one for one in samples(attrs.evolve(SMALL, noise="as-published"))}
    for name, one in small.items():
        assert np.array_equal(large[name].image, one.image)
        assert published[name].meta["source_x"] == one.meta["source_x"]


def test_models_2_and_3_as_published_are_twice_the_noiseless_flux():
    options = attrs.evolve(SMALL, recipe="model-3", noise="as-published")
    source = LensSimulator(options)
    for one in samples(options):
        scene = source.scene("train", int(one.name.rpartition("-")[2]))
        assert np.array_equal(one.image, 2 * source.lensed([scene])[0, 0])


def test_the_signal_to_noise_is_a_dial():
    made = samples(attrs.evolve(SMALL, peak_snr=(20.0, 80.0), train=200))
    drawn = [log(one.meta["peak_snr"]) for one in made]
    assert kstest(drawn, "uniform", (log(20), log(4))).pvalue > 1e-3
    source = LensSimulator(SMALL)
    for one in made[:10]:
        flux = source.lensed([source.scene("train", int(one.name[-6:]))])[0, 0] / source._unit
        assert flux.max() / one.meta["noise"] == pytest.approx(one.meta["peak_snr"], rel=1e-5)
        assert (one.image - flux).std() == pytest.approx(one.meta["noise"], rel=0.15)


def test_lens_light_is_no_part_of_the_peak():
    dark, bright = (samples(attrs.evolve(SMALL, recipe="varied", lens_light=light)) for light in (False, True))
    for one, other in zip(dark, bright, strict=True):
        assert one.meta["noise"] == other.meta["noise"]
        added = other.image - one.image
        assert added.min() > -1e-5
        assert added[0, 11:13, 11:13].min() > 5 * added[0, :4].max()


def test_bands_have_the_colours_that_were_drawn():
    options = attrs.evolve(SMALL, recipe="varied", bands=("g", "r", "z"), lens_light=True)
    source = LensSimulator(options)
    scenes = [source.scene("train", index) for index in range(6)]
    for part, slopes in (
        (source.lensed(scenes), [scene.sources[0].slope for scene in scenes]),
        (source.light(scenes), [scene.lens.light.slope for scene in scenes]),
    ):
        g, r, z = part[:, 0].sum(axis=(-1, -2)).T
        assert r / g == pytest.approx((620 / 480) ** np.array(slopes), rel=1e-4)
        assert z / r == pytest.approx((870 / 620) ** np.array(slopes), rel=1e-4)
    grey = LensSimulator(attrs.evolve(SMALL, recipe="varied")).lensed(scenes)
    assert np.array_equal(grey[:, :, 0], source.lensed(scenes)[:, :, 1])


@pytest.mark.parametrize("recipe", ["model-1", "varied"])
def test_pairs_show_one_lens_before_two_sources(recipe):
    alone = samples(attrs.evolve(SMALL, recipe=recipe, noise="intended"))
    pairs = samples(attrs.evolve(SMALL, recipe=recipe, noise="intended", pairs="same-lens"))
    for one, pair in zip(alone, pairs, strict=True):
        assert one.targets == pair.targets
        assert one.meta.items() <= pair.meta.items()
        assert pair.meta["partner_source_x"] != pair.meta["source_x"]
        assert not np.allclose(pair.image[0], pair.image[1])
        noise = pair.meta["noise"]
        assert np.corrcoef(pair.image[0].ravel(), one.image.ravel())[0, 1] > 0.5 or noise > one.image.max() / 10


def auroc(numbers, labels):
    """Of a forest and a line, one class against the others, mean of three; trained on a third."""
    cut = len(labels) // 3
    scores = []
    for model in (
        RandomForestClassifier(40, min_samples_leaf=5, random_state=0),
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
    ):
        model.fit(numbers[:cut], labels[:cut])
        scores.append(roc_auc_score(labels[cut:], model.predict_proba(numbers[cut:]), multi_class="ovr"))
    return scores


def test_macro_parameters_do_not_tell_the_class():
    """No shortcut: whatever is drawn of lens and source, the class is at chance; the substructure's mass tells."""
    source = LensSimulator(attrs.evolve(SMALL, recipe="varied", lens_light=True, bands=("g", "r"), pairs="same-lens"))
    count = 4500
    metas = [source.scene("train", index).meta() for index in range(count)]
    macro = sorted(key for key in metas[0] if "vort" not in key and "axion" not in key and "substr" not in key)
    assert {"einstein_radius", "shear_1", "light_flux", "partner_source_slope", "source_index"} <= set(macro)
    numbers = np.array([[meta[key] for key in macro] for meta in metas])
    labels = np.arange(count) % 3
    error = np.sqrt((1 / 1000 + 1 / 2000) / 12)  # of one AUROC without signal; their mean's is not larger
    assert auroc(numbers, labels) == pytest.approx([0.5, 0.5], abs=4 * error)
    telling = np.column_stack([numbers, [meta["substructure_mass"] for meta in metas]])
    assert min(auroc(telling, labels)) > 0.6


def test_an_unknown_split_is_named():
    with pytest.raises(UserError, match=r"no split 'valid'.*train, val, test"):
        samples(SMALL, "valid")


@pytest.mark.parametrize(
    "wrong",
    [
        *({"size": 6}, {"size": 65}, {"train": 0}, {"val": 0}, {"test": 0}, {"seed": -1}),
        *({"peak_snr": 0.0}, {"peak_snr": (30.0, 20.0)}, {"peak_snr": (-1.0, 20.0)}),
        *({"bands": ()}, {"bands": ("g", "g")}, {"bands": ("grey", "g"), "recipe": "varied"}),
        *({"bands": ("g", "r")}, {"lens_light": True}),
    ],
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LensesOptions(**wrong)


def test_what_was_never_published_has_no_published_noise():
    with pytest.raises(ValueError, match="never published"):
        LensesOptions(recipe="varied", noise="as-published")


def test_a_spec_may_give_the_signal_to_noise_either_way():
    assert structure({"peak_snr": 30}, LensesOptions, "key").peak_snr == 30.0
    assert structure({"peak_snr": [20, 100]}, LensesOptions, "key").peak_snr == (20.0, 100.0)


def test_vary_names_the_macro_parameters():
    assert get_args(Vary) == MACRO
    assert LensesOptions(vary=("shear",)).free == {"shear"}
    assert LensesOptions(recipe="varied").free == set(MACRO)


def test_facts_say_what_varies():
    for key in ("einstein_radius", "ellipticity"):
        assert "the same" in LensesOptions().facts().targets[key].about
        assert "varied" in LensesOptions(vary=(key,)).facts().targets[key].about
        assert "varied" in LensesOptions(recipe="varied").facts().targets[key].about


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, ("Model I)", "1.2815", "exactly 25", "pixel of the lensed source over 60", "no noiseless pixel exceeds")),
        ({"noise": "as-published"}, ("twice", "simple_sim")),
        ({"noise": "intended"}, ("Counts, with the noise that was intended",)),
        ({"recipe": "model-2", "noise": "as-published"}, ("Model II)", "twice the noiseless model", "Euclid VIS")),
        ({"recipe": "model-3", "vary": ("shear",)}, ("WFC3_F160W", "cannot make Model III", "Freed: shear")),
        (FULL, ("independently of the class", "The lens shines", "Colours", "Pairs", "over 20 to 80")),
    ],
)
def test_the_card_tells_of_its_quirks(more, words):
    about = LensSimulator(attrs.evolve(SMALL, **more)).card().about
    assert [word for word in words if word not in about.replace("\n", " ")] == []


def test_the_shifted_split_has_larger_sources_of_the_same_flux_and_other_noise():
    options = attrs.evolve(SMALL, shifted=30, shifted_source_size=(1.5, 2.5), shifted_peak_snr=(10.0, 20.0))
    shifted = samples(options, "shifted")
    assert options.facts().images == {"train": 21, "val": 4, "test": 5, "shifted": 30}
    assert len(shifted) == 30
    base = RECIPES[options.recipe].source
    for one in shifted:
        assert 1.5 <= one.meta["source_size"] / base.radius <= 2.5
        assert one.meta["source_flux"] == pytest.approx(base.flux)
        assert 10.0 <= one.meta["peak_snr"] <= 20.0
    assert len({one.meta["source_size"] for one in shifted}) == 30
    assert "sources of 1.5 to 2.5 times the radius" in LensSimulator(options).card().about.replace("\n", " ")


def test_a_shifted_split_changes_no_other_split():
    assert as_bytes(samples(attrs.evolve(SMALL, shifted=3))) == whole()
    assert "shifted" not in SMALL.facts().images


def test_without_a_signal_to_noise_there_is_none_to_shift():
    with pytest.raises(ValueError, match='split "shifted" have another peak_snr'):
        attrs.evolve(SMALL, shifted=3, noise="intended")
