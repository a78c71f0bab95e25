"""Training, validation and test share no image: by the bytes of their pixels, not by what the images are called."""

from __future__ import annotations

from hashlib import sha256
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from deeplense_registry.evaluation import label_draws, training_images
from deeplense_registry.shards import ShardSet, materialise
from deeplense_registry.spec import SkewTable, load_spec

COUNTS = {"train": 240, "val": 60, "test": 60}


@pytest.fixture(scope="module")
def lenses(tmp_path_factory: pytest.TempPathFactory) -> tuple[ShardSet, Path]:
    """Simulated lenses, and a spec that names them."""
    folder = tmp_path_factory.mktemp("lenses")
    counts = "".join(f"{split} = {count}\n" for split, count in COUNTS.items())
    (folder / "spec.toml").write_text(
        f"[dataset.lenses]\nsize = 16\n{counts}[method.simclr]\n[backbone.levit]\n[train]\nbatch_size = 16\n"
    )
    spec = load_spec(folder / "spec.toml")
    return ShardSet.open(materialise(spec.dataset[0], processes=1, folder=folder / "shards")), folder / "spec.toml"


def payloads(shards: ShardSet, split: str) -> list[str]:
    """SHA-256 of each image's pixels."""
    images = shards.images(split, np.arange(shards.count(split)))
    return [sha256(image.tobytes()).hexdigest() for image in images]


def test_no_image_is_in_two_splits(lenses: tuple[ShardSet, Path]) -> None:
    shards, _ = lenses
    hashes = {split: payloads(shards, split) for split in COUNTS}
    for split, count in COUNTS.items():
        assert len(set(hashes[split])) == len(hashes[split]) == count
    for one, other in combinations(COUNTS, 2):
        assert not set(hashes[one]) & set(hashes[other]), (one, other)


def test_a_skew_and_its_labels_stay_within_training(lenses: tuple[ShardSet, Path]) -> None:
    """Also the hashes of the images that are read through the skew."""
    shards, path = lenses
    table = SkewTable(target="class", ratio={"axion": 1.0, "cdm": 0.3, "no_sub": 0.05})
    left = training_images(table, shards)
    labels = load_spec(path, ["labels.budgets=[20]", "labels.draws=2"]).labels
    (draws,) = label_draws(left.targets("train", "class"), labels, "class", classes=3)
    trained = payloads(left, "train")
    held_out = {*payloads(left, "val"), *payloads(left, "test")}
    assert set(trained) < set(payloads(shards, "train"))
    assert not set(trained) & held_out
    assert all({trained[row] for row in draw.index} < set(trained) for draw in draws)
    for split in ("val", "test"):  # as they were
        assert payloads(left, split) == payloads(shards, split)


@pytest.mark.parametrize("distribution", ["exponential", "lognormal", "gap"])
def test_the_mass_of_axions_becomes_uneven_and_other_classes_stay(
    lenses: tuple[ShardSet, Path], distribution: str
) -> None:
    shards, _ = lenses
    left = training_images(SkewTable(target="log10_axion_mass", distribution=distribution), shards)
    before, after = (np.bincount(one.targets("train", "class"), minlength=3) for one in (shards, left))
    assert after[0] < before[0]
    assert after[1:].tolist() == before[1:].tolist()
