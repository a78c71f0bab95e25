"""The encoder looked at while it trains: right scores, and not one bit of the run changed by looking."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import SHAPE, ToyBackbone

from deeplense_registry import UserError
from deeplense_registry.engine import RunFolder
from deeplense_registry.engine.online import probes, spread, subset

PROBED = 'train.probe=["class", "width"]'


def rows(folder: RunFolder) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in (folder.path / "log.jsonl").read_text().splitlines()]
    return [event for event in events if event["event"] == "scalars"]


@given(st.integers(1, 500), st.integers(1, 300))
def test_a_subset_is_of_distinct_images_and_always_the_same(count: int, most: int) -> None:
    index = subset(count, most)
    assert len(index) == min(count, most) == len(set(index.tolist()))
    assert (np.diff(index) > 0).all()
    assert 0 <= index[0] <= index[-1] < count
    np.testing.assert_array_equal(index, subset(count, most))


def test_probes_read_what_can_be_read() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 300)
    centres = np.eye(3, 8) * 5
    features = (centres[truth] + rng.normal(size=(300, 8))).astype(np.float32)
    known = np.where(rng.random(300) < 0.2, -1, truth)
    scores = probes(features[:200], known[:200], features[200:], known[200:])
    assert scores["knn"] > 0.95
    assert scores["linear"] > 0.95
    quantity = np.where(known < 0, np.nan, features @ np.arange(8.0))
    scores = probes(features[:200], quantity[:200], features[200:], quantity[200:])
    assert scores["linear"] > 0.99
    assert 0.3 < scores["knn"] < 1.0


def test_probes_of_noise_read_nothing() -> None:
    rng = np.random.default_rng(1)
    features, truth = rng.normal(size=(600, 4)), rng.integers(0, 2, 600)
    scores = probes(features[:300], truth[:300], features[300:], truth[300:])
    assert all(0.35 < score < 0.65 for score in scores.values())


@pytest.mark.parametrize("value", [0.0, 3.3])
def test_probes_of_a_constant_encoder_are_finite(value: float) -> None:
    features, truth = np.full((30, 4), value, np.float32), np.arange(30) % 2
    assert probes(features, truth, features, truth) == {"knn": 0.5, "linear": 0.5}
    scores = probes(features, truth.astype(float), features, truth.astype(float))
    assert scores["linear"] == pytest.approx(0.0)
    assert np.isfinite(scores["knn"])


def test_few_labelled_images_are_all_neighbours() -> None:
    features, truth = np.eye(4), np.array([0, 1, 0, 1])
    assert set(probes(features, truth, features, truth)) == {"knn", "linear"}


def test_looking_changes_no_bit(toy_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the probe, without it, and without any look: dropout, batch norm and all."""
    probed, plain = toy_run("contrast", PROBED, name="probed"), toy_run("contrast", name="plain")
    monkeypatch.setattr("deeplense_registry.engine.watch.spread", lambda session, encoder: {})
    blind = toy_run("contrast", name="blind")
    assert "encoder/embedding_std" not in rows(blind)[-1]
    for name in ("encoder.safetensors", "checkpoints/step-00000008.pt"):
        content = (plain.path / name).read_bytes()
        assert (probed.path / name).read_bytes() == content, name
        assert (blind.path / name).read_bytes() == content, name
    scalars = [[(row["step"], row["loss"]) for row in rows(folder)] for folder in (probed, plain, blind)]
    assert scalars[0] == scalars[1] == scalars[2]


def test_every_epoch_ends_with_the_encoder_scalars(toy_run: Any) -> None:
    logged = rows(toy_run("contrast", PROBED))
    assert [row["step"] for row in logged] == [3, 4, 6, 8]  # every third, and the ends of epochs of four
    named = {f"online/{target}/{probe}" for target in ("class", "width") for probe in ("knn", "linear")}
    named |= {"encoder/embedding_std", "encoder/effective_rank"}
    assert [named <= row.keys() for row in logged] == [False, True, False, True]
    assert all(0.0 <= row["online/class/linear"] <= 1.0 for row in logged if "online/class/linear" in row)
    assert all(row["online/width/knn"] <= 1.0 for row in logged if "online/width/knn" in row)


def test_an_unknown_target_is_refused_before_training(toy_run: Any, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"train\.probe: data set 'blobs' has no target 'mass'; its targets: 'class', 'width'"
    ):
        toy_run("contrast", 'train.probe=["class", "mass"]')
    assert not list((tmp_path / "run").glob("checkpoints/*"))


def test_labels_that_do_not_differ_are_refused(toy_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deeplense_registry.engine.online.PROBE_IMAGES", 1)
    with pytest.raises(UserError, match=r"'class' has [01] labels of [01] values among the 1 images of split 'train'"):
        toy_run("contrast", PROBED)


def test_the_spread_of_a_constant_encoder(blobs: Path) -> None:
    class Session:
        facts = type("Facts", (), {"images": 40})

        @staticmethod
        def images(split: str, index: np.ndarray) -> list[torch.Tensor]:
            generator = torch.Generator().manual_seed(0)
            return [torch.randn(len(index), 1, 8, 8, generator=generator)]

    encoder = ToyBackbone(None, SHAPE, norm=True).train()
    alive = spread(Session(), encoder)  # type: ignore[arg-type]
    assert encoder.training
    assert int(encoder.norm.num_batches_tracked) == 0
    with torch.no_grad():
        encoder.conv.weight.zero_()
    dead = spread(Session(), encoder)  # type: ignore[arg-type]
    assert dead["encoder/embedding_std"] == pytest.approx(0.0, abs=1e-6)
    assert dead["encoder/effective_rank"] == pytest.approx(1.0, abs=1e-4)
    assert alive["encoder/embedding_std"] > dead["encoder/embedding_std"] + 0.01
