"""What ``deeplense equivariance`` measures, on encoders whose answer is known; and the verb itself."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deeplense_registry import UserError
from deeplense_registry.cli import main
from deeplense_registry.evaluation.equivariance import ELEMENTS, feature_change, scenes, turned

ANGLES = (30.0, 90.0, 200.0, 360.0)


def sums(images):
    """Invariant to whatever moves light about: the flux, and that squared."""
    return torch.stack((images.sum((1, 2, 3)), images.square().sum((1, 2, 3))), dim=1)


def test_features_that_do_not_look_where_light_is_do_not_change():
    change = feature_change(sums, lambda angle: scenes(8, 48, angle), ANGLES)
    assert change.angles == ANGLES
    assert max(change.turned) < 0.02  # pixels sample the plane
    assert set(change.elements) == set(ELEMENTS)
    assert max(change.elements.values()) < 1e-6


def test_pixels_change_as_much_as_from_one_image_to_another():
    change = feature_change(lambda images: images.flatten(1), lambda angle: scenes(32, 48, angle), ANGLES)
    assert 0.5 < change.turned[0] < 1.5
    assert change.turned[3] < 1e-5  # a whole turn
    assert min(change.elements.values()) > 0.5


def test_the_unit_is_the_mean_distance_of_two_images():
    images = torch.zeros(3, 1, 2, 2)
    images[:, 0, 0, 0] = torch.tensor([0.0, 1.0, 3.0])
    change = feature_change(lambda x: x[:, 0, 0, :1], lambda _: images, (90.0,))
    assert change.turned == (0.0,)
    assert change.elements["turn 90"] == pytest.approx((0 + 1 + 3) / 3 / 2)


def test_one_image_or_features_that_are_all_the_same_have_no_unit():
    for encode, count in ((sums, 1), (lambda images: torch.ones(len(images), 4), 5)):
        with pytest.raises(UserError, match=f"the features of {count} images do not differ"):
            feature_change(encode, lambda angle, n=count: scenes(n, 16, angle), ANGLES)


@given(st.sampled_from([-90.0, 0.0, 90.0, 180.0, 270.0, 360.0, 450.0]), st.integers(2, 9), st.integers(2, 9))
def test_quarter_turns_permute_the_pixels_of_the_disc(degrees, height, width):
    images = torch.rand(2, 1, height, width, generator=torch.Generator().manual_seed(height * 10 + width))
    start = turned(images, 0.0)
    assert start.shape == (2, 1, min(height, width), min(height, width))
    assert torch.equal(turned(images, degrees), torch.rot90(start, round(degrees / 90) % 4, (-2, -1)))


def test_images_and_scenes_turn_the_same_way():
    upright = scenes(4, 64)
    for degrees in (37.0, 90.0, 200.0, 301.5):
        gap = (turned(upright, degrees) - scenes(4, 64, degrees)).abs()
        assert gap.mean() < 0.01
    assert (turned(upright, 37.0) - scenes(4, 64, -37.0)).abs().mean() > 0.03


def test_corners_are_empty_at_every_angle():
    images = torch.ones(1, 2, 32, 40)
    for degrees in (0.0, 45.0, 90.0):
        seen = turned(images, degrees)
        assert seen[..., 0, 0].abs().max() == 0.0
        assert seen[..., 16, 16].min() == pytest.approx(1.0)


def test_scenes_differ_and_are_the_same_again():
    assert torch.equal(scenes(3, 32, 10.0), scenes(3, 32, 10.0))
    assert not torch.equal(scenes(3, 32, seed=1), scenes(3, 32))
    assert torch.pdist(scenes(6, 32).flatten(1)).min() > 0.5
    assert scenes(6, 32).amax((1, 2, 3)).min() > 0.3


def verb(capsys, *words):
    """The rows of the verb's JSON."""
    assert main(["equivariance", *words, "--images", "6", "--size", "32", "--step", "90", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_verb_tells_a_plain_backbone_from_one_that_averages(capsys):
    options = ("--set", "d4.groups=[]", "--set", "d4.average=d4", "--set", "d4.trunk_options.variant=128s-s4")
    plain, d4 = verb(capsys, "levit", "d4=equivariant", *options)
    assert (plain["name"], plain["target"], d4["name"], d4["target"]) == ("levit", "levit", "d4", "equivariant")
    assert plain["angles"] == [0.0, 90.0, 180.0, 270.0, 360.0]
    assert plain["turned"][0] == 0.0
    assert min(plain["elements"].values()) > 0.3
    assert max(d4["elements"].values()) < 1e-5


def test_a_set_without_a_name_is_for_all(capsys):
    rows = verb(capsys, "a=levit", "b=levit", "--set", "variant=128s-s4")
    assert rows[0]["turned"] == rows[1]["turned"] != verb(capsys, "levit")[0]["turned"]


def test_the_table_has_a_line_for_each(capsys):
    assert main(["equivariance", "levit", "--images", "4", "--size", "32", "--step", "180"]) == 0
    assert "levit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["levti"], 'did you mean "levit"'),
        (["no/such/run"], "no encoder here"),
        (["levit", "--set", "varient=128s"], 'did you mean "variant"'),
        (["levit", "--set", "variant"], "write --set KEY=VALUE"),
        (["levit", "--plot", "chart.jpeg2", "--images", "2", "--step", "180"], "no kind of picture"),
    ],
)
def test_mistakes_are_told(words, message, capsys):
    assert main(["equivariance", *words, "--size", "32"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "value", "low"), [("--step", "0", 1), ("--step", "181", 1), ("--size", "1.5", 1), ("--images", "1", 2)]
)
def test_a_number_that_makes_no_sense_is_refused(flag, value, low, capsys):
    with pytest.raises(SystemExit):
        main(["equivariance", "levit", flag, value])
    assert f"'{value}' is no whole number from {low} to" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_a_picture_is_drawn_with_the_same_bytes_again(suffix, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    paths = [tmp_path / f"{n}.{suffix}" for n in range(2)]
    for path in paths:
        assert main(["equivariance", "levit", "--images", "2", "--size", "32", "--plot", str(path)]) == 0
    assert paths[0].read_bytes() == paths[1].read_bytes()
    if suffix == "svg":
        assert "levit" in paths[0].read_text()


def test_without_matplotlib_a_picture_is_refused_before_anything_is_measured(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["equivariance", "levit", "--plot", str(tmp_path / "a.png")]) == 2
    assert "pip install matplotlib" in capsys.readouterr().err


SPEC = """\
[run]
name = "turns"
[dataset.lenses]
size = 32
train = 12
val = 6
test = 6
[method.simclr]
[backbone.levit]
[train]
batch_size = 4
"""


def test_a_run_is_measured_on_its_own_test_images(tmp_path, monkeypatch, capsys):
    from deeplense_registry import ImageShape, build
    from deeplense_registry.engine.encoder import save_encoder
    from deeplense_registry.engine.folder import RunFolder
    from deeplense_registry.spec import FluxTable, expand, load_spec
    from deeplense_registry.views import BandStatistics, Scaling

    monkeypatch.setenv("DEEPLENSE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "spec.toml").write_text(SPEC)
    (cell,) = expand(load_spec(tmp_path / "spec.toml"))
    folder, shape = RunFolder(tmp_path), ImageShape(1, 32, 32)
    folder.write_spec(cell)
    torch.manual_seed(0)
    backbone = build("backbone", "levit", {}, shape=shape)
    scaling = Scaling(FluxTable(), BandStatistics((0.0,), (1.0,)))
    save_encoder(folder, backbone, cell.backbone, shape, scaling, {"bands": ["g"]})
    (row,) = verb(capsys, f"mine={tmp_path}")
    assert (row["name"], row["turned"][0]) == ("mine", 0.0)
    assert row["turned"][1] == pytest.approx(row["elements"]["turn 90"], rel=0.5)
    assert row["turned"][1] > 0.0
    assert main(["equivariance", str(tmp_path), "--set", "variant=128s"]) == 2
    assert "a run has its options" in capsys.readouterr().err
