"""The data set: what it promises of its samples."""

import functools
import subprocess
import sys

import attrs
import numpy as np
import pytest
import torch
from deeplense_lenses.options import LensesOptions
from deeplense_lenses.source import LensSimulator
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplense_registry import ImageShape, UserError
from deeplense_registry.components import find, load_factory, load_options

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


@pytest.mark.parametrize("noise", ["gaussian", "published"])
def test_the_same_bytes_on_any_number_of_threads(noise):
    options = attrs.evolve(SMALL, size=98, noise=noise)
    one = as_bytes(samples(options))
    try:
        torch.set_num_threads(3)
        assert as_bytes(samples(options, parts=4)) == one
    finally:
        torch.set_num_threads(1)


def test_a_part_read_again_gives_the_same_bytes():
    source = LensSimulator(SMALL)
    assert as_bytes(source.samples("val", 0, 1)) == as_bytes(source.samples("val", 0, 1))


@pytest.mark.parametrize("noise", ["gaussian", "published"])
def test_samples_are_of_the_cards_shape(noise):
    options = attrs.evolve(SMALL, noise=noise)
    card = LensSimulator(options).card()
    assert card.shape == options.facts().shape == ImageShape(channels=1, height=24, width=24)
    assert card.splits == {"train": 21, "val": 4, "test": 5}
    assert card.pixel_scale == pytest.approx(7.5 / 24)
    for split, count in card.splits.items():
        made = samples(options, split)
        assert len({one.name for one in made}) == count
        for one in made:
            assert one.image.shape == (1, 24, 24)
            assert one.image.dtype == np.float32
            assert np.isfinite(one.image).all()
            assert set(one.targets) == set(card.targets)


def test_classes_are_balanced_mixed_and_in_label_order():
    made = samples(attrs.evolve(SMALL, train=300, size=8))
    labels = [one.targets["class"] for one in made]
    assert [labels.count(label) for label in range(3)] == [100, 100, 100]
    assert all(labels[start : start + 30].count(label) > 0 for start in range(0, 300, 30) for label in range(3))
    substructures = {one.targets["class"]: one.meta["substructures"] for one in made}
    assert substructures == {0: 100, 1: 25, 2: 0}
    assert LensSimulator(SMALL).card().targets["class"].classes == ("axion", "cdm", "no_sub")


def test_what_was_drawn_is_kept():
    common = {"source_x", "source_y", "einstein_radius", "substructures", "substructure_mass", "psf_sigma", "noise"}
    for one in samples(attrs.evolve(SMALL, vary=("einstein_radius",))):
        vortex = {"vortex_angle", "log10_axion_mass"} if one.targets["class"] == 0 else set()
        assert set(one.meta) == common | vortex
        assert one.meta["einstein_radius"] == one.targets["einstein_radius"]
        assert one.meta["psf_sigma"] == pytest.approx(0.087 / 2.35482 / (7.5 / 24))
    assert {"exposure"} <= set(samples(attrs.evolve(SMALL, noise="published"))[0].meta)


def test_the_unit_is_the_sources_central_brightness():
    source = LensSimulator(attrs.evolve(SMALL, size=64, peak_snr=1000.0))
    images = np.stack([one.image for one in source.samples("train", 0, 1)])
    noise = [one.meta["noise"] for one in source.samples("train", 0, 1)]
    peaks = 1000.0 * np.array(noise)
    assert (peaks <= 1).all()
    assert (peaks > 0.3).all()
    assert np.allclose(images.max((1, 2, 3)), peaks, rtol=0.01)


def test_seed_and_split_change_every_image():
    names = [
        {image for _, image, _, _ in as_bytes(samples(options, split))}
        for options, split in ((SMALL, "train"), (SMALL, "val"), (attrs.evolve(SMALL, seed=1), "train"))
    ]
    assert not names[0] & names[1]
    assert not names[0] & names[2]


def test_a_larger_split_holds_the_smaller_and_noise_leaves_lenses_alone():
    small = {one.name: one for one in samples(SMALL)}
    large = {one.name: one for one in samples(attrs.evolve(SMALL, train=40))}
    published = {one.name: one for one in samples(attrs.evolve(SMALL, noise="published"))}
    for name, one in small.items():
        assert np.array_equal(large[name].image, one.image)
        assert published[name].meta["source_x"] == one.meta["source_x"]


def test_an_unknown_split_is_named():
    with pytest.raises(UserError, match=r"no split 'valid'.*train, val, test"):
        samples(SMALL, "valid")


@pytest.mark.parametrize(
    "wrong", [{"size": 6}, {"size": 65}, {"peak_snr": 0.0}, {"train": 0}, {"val": 0}, {"test": 0}, {"seed": -1}]
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LensesOptions(**wrong)


def test_facts_say_whether_the_einstein_radius_varies():
    assert "the same" in LensesOptions().facts().targets["einstein_radius"].about
    assert "varied" in LensesOptions(vary=("einstein_radius",)).facts().targets["einstein_radius"].about


def test_the_card_tells_of_its_noise():
    assert "pixel over 60" in LensSimulator(SMALL).card().about
    assert "twice" in LensSimulator(attrs.evolve(SMALL, noise="published")).card().about
