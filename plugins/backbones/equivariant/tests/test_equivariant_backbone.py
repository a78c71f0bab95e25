import copy
import json
import math
import sys
from subprocess import run

import attrs
import pytest
import torch
from deeplense_equivariant.averaging import D4, act, undo
from deeplense_equivariant.backbone import Equivariant
from deeplense_equivariant.options import EquivariantOptions
from torch import nn
from torch.nn import functional as F

from deeplense_registry import ImageShape, PluginError, RunFacts, UserError, build, catalogue, scan
from deeplense_registry.blocks import follow
from deeplense_registry.spec import structure_options
from deeplense_registry.spec.schema import class_schema
from deeplense_registry.spec.structure import plain

SHAPE = ImageShape(1, 64, 64)
TURNS = (0.3, 0.9, 1.7, 2.2, 2.9, 3.6, 4.1, 4.9, 5.4, 6.0)
SMALL = {"trunk": "cvt", "trunk_options": {"variant": "tiny"}}


def make(seed=0, shape=SHAPE, **options):
    torch.manual_seed(seed)
    return Equivariant(EquivariantOptions(**options), shape)


def seen(model, images):
    """Pose (B, 6) and canonical images (B, C, H, W) of the first frame."""
    with torch.no_grad():
        pose = model.estimate(images).pose
        return pose[:, 0], model.canonical(images, pose)[:, 0]


def apart(a, b):
    """Angles, in degrees."""
    return ((a - b + math.pi) % (2 * math.pi) - math.pi).abs() * 180 / math.pi


def relative(a, b):
    return (a - b).flatten(1).norm(dim=1) / b.flatten(1).norm(dim=1)


def orbit(images):
    return [act(element, images) for element in D4]


def test_an_oblong_image_may_lie_or_stand(scene_of):
    model, images = make().eval(), F.pad(scene_of("quad", 4).render(size=48), (8, 24))
    with torch.no_grad():
        lying, standing = model(images), model(images.rot90(1, (2, 3)))
    torch.testing.assert_close(standing.pooled, lying.pooled, rtol=1e-3, atol=1e-3)
    assert lying.grid.shape[2:] == standing.grid.shape[:1:-1]


@pytest.mark.parametrize("kind", ["arc", "quad"])
@pytest.mark.parametrize("reflections", [False, True])
def test_a_quarter_turn_or_a_mirror_changes_the_pose_and_nothing_else(kind, reflections, scene_of):
    for seed in range(3):
        model, images = make(seed, reflections=reflections).eval(), scene_of(kind, 16, seed=seed).render()
        pose, canonical = seen(model, images)
        for turns in (1, 2, 3):
            turned, same = seen(model, images.rot90(turns, (2, 3)))
            assert apart(turned[:, 0], pose[:, 0] + turns * math.pi / 2).max() <= 1e-3
            assert (same - canonical).abs().max() <= 1e-4
        if reflections:
            mirrored, same = seen(model, images.flip(-2))
            assert torch.equal(mirrored[:, 4], 1 - pose[:, 4])
            assert (same - canonical).abs().max() <= 1e-4


@pytest.mark.parametrize("reflections", [False, True])
def test_the_pose_of_an_arc_follows_any_turn(reflections, scene_of):
    errors = []
    for seed in range(3):
        model, scene = make(seed, reflections=reflections).eval(), scene_of("arc", 16, seed=seed)
        pose, _ = seen(model, scene.render())
        errors += [apart(seen(model, scene.render(turn))[0][:, 0], pose[:, 0] + turn) for turn in TURNS]
    errors = torch.cat(errors)
    assert errors.median() <= 1.0
    assert errors.quantile(0.9) <= 3.0


@pytest.mark.parametrize("kind", ["arc", "double", "ring"])
def test_the_canonical_image_stays(kind, scene_of):
    changes = []
    for seed in range(3):
        model, scene = make(seed).eval(), scene_of(kind, 16, seed=seed)
        _, canonical = seen(model, scene.render())
        changes += [relative(seen(model, scene.render(turn))[1], canonical) for turn in TURNS]
    assert torch.cat(changes).median() <= 0.05  # an exact angle leaves 0.02: two interpolations


def test_the_pose_of_a_double_may_flip_but_its_canonical_image_does_not(scene_of):
    scene, flips = scene_of("double", 16), []
    model = make(reflections=False).eval()
    pose, canonical = seen(model, scene.render())
    for turn in TURNS:
        turned, same = seen(model, scene.render(turn))
        flips.append(apart(turned[:, 0], pose[:, 0] + turn) > 170)
        assert relative(same, canonical).median() <= 0.05
    assert torch.stack(flips).any()
    mean = make(reflections=False, readout="mean").eval()  # the published readout has no such pose
    _, canonical = seen(mean, scene.render())
    assert relative(seen(mean, scene.render(0.9))[1], canonical).median() > 0.5


@pytest.mark.parametrize("readout", ["peak", "mean", "frames"])
def test_features_of_an_arc_change_four_times_less_than_without(readout, scene_of, shaken, feature_change):
    scene = scene_of("arc", 16)
    torch.manual_seed(0)
    plain = shaken(build("backbone", "levit", shape=SHAPE))
    model = shaken(make(readout=readout))
    without, with_layer = (feature_change(lambda x, m=m: m(x).pooled, scene, TURNS[::3]) for m in (plain, model))
    assert without.median() > 0.5
    assert with_layer.median() <= 0.25 * without.median()


@pytest.mark.parametrize("groups", [(), ("rotation",)])
@pytest.mark.parametrize("size", [(64, 64), (48, 64)])
def test_averaging_is_exact_for_all_elements(groups, size, scene_of, shaken):
    model = shaken(make(groups=groups, average="d4", shape=ImageShape(1, *size)), size).double()
    images = scene_of("quad", 4).render().double()[..., : size[0], :]
    with torch.no_grad():
        upright = model(images)
        scale = upright.pooled.abs().max()
        assert upright.pooled.std(0).mean() > 0.01 * scale  # images differ
        for element in D4:
            turned = model(act(element, images))
            assert (turned.pooled - upright.pooled).abs().max() <= 1e-5 * scale
            if not groups:
                levels = zip((turned.grid, *turned.pyramid), (upright.grid, *upright.pyramid), strict=True)
                for level, before in levels:
                    assert (level - act(element, before)).abs().max() <= 1e-5 * before.abs().max()


def test_averaging_is_exact_in_float32_too(scene_of, shaken):
    images = scene_of("quad", 4).render()
    model = shaken(make(groups=(), average="d4"))
    with torch.no_grad():
        upright = model(images).pooled
        for turned in orbit(images):
            assert (model(turned).pooled - upright).norm() <= 1e-5 * upright.norm()


def test_an_element_is_undone():
    maps = torch.randn(2, 3, 4, 6)
    assert all(torch.equal(undo(element, act(element, maps)), maps) for element in D4)
    assert len({act(element, torch.arange(16.0).view(4, 4)).numpy().tobytes() for element in D4}) == 8


class Look(nn.Module):
    """A trunk whose grid is the image itself, averaged over cells."""

    width = 1

    def forward(self, images, *, pose=None):
        from deeplense_registry import Features

        grid = F.avg_pool2d(images, 8)
        return Features(grid.mean((2, 3)), grid, (F.avg_pool2d(images, 4), grid))


@pytest.mark.parametrize("average", ["none", "d4"])
def test_a_bright_spot_returns_where_it_was_whatever_the_pose(average):
    model = make(average=average, readout="frames", groups=("rotation-scale",)).eval()
    model.trunk = Look()
    for row, column in ((20, 20), (20, 44), (44, 20), (44, 44)):
        images = torch.zeros(16, 1, 64, 64)
        images[:, :, row - 2 : row + 3, column - 2 : column + 3] = 1.0
        pose = torch.zeros(16, 1, 6)
        pose[:, 0, 0], pose[:, 0, 4:] = torch.arange(16) * 0.5, torch.tensor([0.0, 1.0])
        pose[8:, 0, 4], pose[4:12, 0, 1] = 1.0, 0.2
        for features in (model(images, pose=pose), model(images)):
            for grid in (features.grid, *features.pyramid):
                half = grid.shape[-1] // 2
                quarters = grid.unflatten(2, (2, half)).unflatten(4, (2, half)).sum((3, 5)).flatten(1)
                assert (quarters.argmax(1) == 2 * (row > 32) + (column > 32)).all()
                assert (quarters.amax(1) > 0.8 * quarters.sum(1)).all()


@pytest.mark.parametrize("bands", [1, 3, 5])
@pytest.mark.parametrize("size", [(32, 32), (48, 48), (96, 96), (150, 150), (64, 96)])
def test_any_bands_and_size_give_the_grids_of_the_trunk(bands, size):
    model = make(shape=ImageShape(bands, 64, 64)).eval()
    images = torch.randn(2, bands, *size)
    side = min(size)
    with torch.no_grad():
        features, plain = model(images), model.trunk(images[..., :side, :side])
    assert features.pooled.shape == (2, model.width) == plain.pooled.shape
    assert [level.shape[2] for level in features.pyramid] == [level.shape[2] for level in plain.pyramid]
    if size == (64, 96):
        assert [tuple(level.shape[2:]) for level in features.pyramid] == [(8, 12), (4, 6), (2, 3)]
    assert features.aux["pose"].shape == (2, 1, 6)
    assert features.aux["confidence"].shape == (2,)
    facts = model.options.facts(ImageShape(bands, *size))
    assert (facts.width, facts.grid, facts.batch_norm) == (model.width, tuple(features.grid.shape[2:]), True)
    with pytest.raises(UserError, match=f"built for images of {bands} bands and got {bands + 1}"):
        model(torch.zeros(1, bands + 1, *size))


@pytest.mark.parametrize("options", [{}, {"readout": "frames"}, {"groups": ("translation", "rotation-scale")}])
def test_a_pose_handed_in_gives_what_it_came_from(options, scene_of):
    model, images = make(**SMALL, **options).eval(), scene_of("quad", 3).render()
    with torch.no_grad():
        features = model(images)
        again = model(images, pose=features.aux["pose"])
    assert torch.equal(again.pooled, features.pooled)
    assert torch.equal(again.grid, features.grid)
    assert "confidence" not in again.aux
    assert features.aux["pose"][..., 5].sum(1) == pytest.approx(1.0)


@pytest.mark.parametrize("shape", [(2, 6), (3, 5), (3, 1, 1, 6), (6,)])
def test_a_pose_of_another_shape_is_refused(shape):
    with pytest.raises(UserError, match=r"it takes \(3, 6\) or \(3, frames, 6\)"):
        make(**SMALL)(torch.zeros(3, 1, 32, 32), pose=torch.zeros(shape))


def test_the_scale_is_read_off_log_polar_coordinates(scene_of):
    model, scene = make(groups=("rotation-scale",)).eval(), scene_of("arc", 16)
    pose, canonical = seen(model, scene.render())
    assert pose[:, 1].abs().max() <= math.log(2) + 0.1
    for scale in (0.8, 0.9, 1.1):
        other, same = seen(model, scene.render(1.3, scale=scale))
        assert (other[:, 1] - pose[:, 1] - math.log(scale)).abs().median() <= 0.01
        assert relative(same, canonical).median() <= 0.1


def test_the_shift_is_read_off_the_image(scene_of):
    model, scene = make(groups=("translation",)).eval(), scene_of("arc", 16)
    pose, canonical = seen(model, scene.render())
    other, same = seen(model, scene.render(shift=(0.1, -0.05)))
    assert (other[:, 2] - pose[:, 2] - 0.1).abs().median() <= 0.01
    assert (other[:, 3] - pose[:, 3] + 0.05).abs().median() <= 0.01
    assert relative(same, canonical).median() <= 0.1


def test_two_rotations_in_sequence_are_one(scene_of):
    model, scene = make(groups=("rotation", "rotation")).eval(), scene_of("arc", 8)
    pose, canonical = seen(model, scene.render())
    turned, same = seen(model, scene.render(0.9))
    assert apart(turned[:, 0], pose[:, 0] + 0.9).median() <= 1.0
    assert relative(same, canonical).median() <= 0.05  # interpolated once, whatever the number of layers


def test_corners_are_not_seen():
    model, images = make(**SMALL, interpolation="bicubic").eval(), torch.rand(2, 1, 64, 64)
    _, canonical = seen(model, images)
    assert torch.equal(canonical[..., :6, :6], torch.zeros(2, 1, 6, 6))
    assert canonical[..., 32, 1:63].abs().min() > 0.0


@pytest.mark.parametrize("average", ["none", "d4"])
@pytest.mark.parametrize("readout", ["peak", "mean", "frames"])
def test_a_row_depends_on_its_own_image_alone_in_evaluation(readout, average, scene_of, shaken):
    images = torch.cat([scene_of(kind, 2).render(size=48) for kind in ("arc", "quad", "double")])
    model = shaken(make(readout=readout, average=average, **SMALL)).double()
    with torch.no_grad():
        rows = torch.cat([model(image[None]).pooled for image in images.double()])
        torch.testing.assert_close(model(images.double()).pooled, rows, rtol=0, atol=1e-9)


def test_a_teacher_moved_in_place_while_evaluating_answers_otherwise(scene_of, shaken):
    images = scene_of("quad", 4).render()
    model = shaken(make())
    with torch.inference_mode():
        before = model(images)
    teacher = copy.deepcopy(model)
    with torch.no_grad():
        follow(teacher, make(1), 0.5)
        after = teacher(images)
        fresh = make(2).eval()
        fresh.load_state_dict(teacher.state_dict())
        torch.testing.assert_close(fresh(images).pooled, after.pooled)
    assert (after.aux["pose"] - before.aux["pose"]).abs().max() > 1e-3
    assert (after.pooled - before.pooled).abs().max() > 1e-3
    assert not any("points" in name or "directions" in name for name in teacher.state_dict())


@pytest.mark.parametrize(
    "options",
    [{}, {"readout": "mean"}, {"readout": "frames"}, {"groups": ("translation", "rotation-scale")}, {"average": "d4"}],
)
def test_the_gradient_reaches_every_parameter_and_is_finite_on_blank_images(options, scene_of):
    model = make(**options).train()
    features = model(torch.cat([scene_of("quad", 3).render(), torch.zeros(2, 1, 64, 64)]))
    (features.pooled * torch.randn_like(features.pooled)).sum().backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert silent == []
    assert all(p.grad.any() for p in model.layers.parameters())
    assert features.aux["confidence"][3:].max() < 1e-2


def test_half_precision_leaves_the_pose_as_it_is(scene_of, shaken):
    images = scene_of("arc", 4).render()
    model = shaken(make())
    with torch.no_grad():
        fine = model(images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = model(images)
    torch.testing.assert_close(rough.aux["pose"], fine.aux["pose"])
    assert F.cosine_similarity(fine.pooled, rough.pooled.float()).min() > 0.99
    assert rough.grid.dtype == torch.float32


def test_one_image_trains():
    assert make(**SMALL).train()(torch.rand(1, 1, 64, 64)).pooled.isfinite().all()


def test_the_trunk_gets_stochastic_depth_and_its_tables_are_spared():
    options = EquivariantOptions(trunk_options={"drop_path": 0.2})
    for rate, expected in ((None, 0.2), (0.0, 0.0)):
        trunk = Equivariant(options, SHAPE, drop_path=rate).trunk
        assert {module.rate for module in trunk.modules() if hasattr(module, "rate")} == {expected}
    model = make()
    assert {model.get_parameter(name).ndim for name in model.no_weight_decay()} == {3}
    assert len(model.no_weight_decay()) == 11
    assert model.centred_crops


def test_options_are_those_of_a_spec():
    table = {"groups": ["translation", "rotation"], "trunk": "cvt", "trunk_options": {"variant": "13", "pool": "mean"}}
    options = structure_options(EquivariantOptions, table)
    assert options.groups == ("translation", "rotation")
    assert structure_options(EquivariantOptions, plain(options)) == options
    assert structure_options(EquivariantOptions, json.loads(json.dumps(attrs.asdict(options)))) == options
    schema = class_schema(EquivariantOptions)["properties"]
    assert schema["trunk_options"]["type"] == "object"
    assert schema["groups"]["items"]["enum"] == ["rotation", "rotation-scale", "translation"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"groups": []}, "name a group, or average"),
        ({"groups": ["translation"], "readout": "frames"}, "let the last of groups be a rotation"),
        ({"n_theta": 90}, "use a multiple of 4"),
        ({"groups": ["shear"]}, "rotation"),
        ({"frames": 0}, "frames"),
        ({"radii": 2}, "radii"),
    ],
)
def test_options_that_make_no_sense_are_refused(table, message):
    with pytest.raises(UserError, match=message):
        structure_options(EquivariantOptions, table)


def test_a_trunk_that_cannot_be_is_told_before_anything_is_built():
    with pytest.raises(PluginError, match='backbone "levti" is not installed; did you mean "levit"'):
        EquivariantOptions(trunk="levti").facts(SHAPE)
    with pytest.raises(UserError, match='unknown option of trunk_options; did you mean "variant"'):
        EquivariantOptions(trunk_options={"varient": "128s"}).facts(SHAPE)
    with pytest.raises(UserError, match="variant"):
        EquivariantOptions(trunk_options={"variant": "129"}).facts(SHAPE)
    options = EquivariantOptions(trunk="cvt", trunk_options={"weights": "none.pth"})
    facts = options.facts(SHAPE)
    run_facts = RunFacts(shape=SHAPE, images=8, batch_size=8, micro_batch=8, epochs=1, steps=1, backbone=facts)
    assert list(options.check(run_facts)) == ["trunk_options: weights: no file none.pth"]
    assert list(EquivariantOptions().check(run_facts)) == []


def test_averaging_alone_has_the_facts_of_the_trunk():
    options = EquivariantOptions(groups=(), average="d4", trunk="cvt")
    shape = ImageShape(1, 64, 96)
    assert options.facts(shape).grid == (4, 6)
    assert make(groups=(), average="d4", shape=shape).eval()(torch.zeros(1, 1, 64, 96)).aux == {}


def test_a_trunk_that_tells_no_facts_leaves_them_unknown():
    assert EquivariantOptions(trunk="timm", trunk_options={"model": "resnet18"}).facts(SHAPE) is None


def test_it_is_found_and_its_options_need_no_torch():
    (row,) = catalogue([one for one in scan() if (one.kind, one.name) == ("backbone", "equivariant")])
    assert (row.state, row.found.distribution) == ("ok", "deeplense-equivariant")
    code = (
        "import sys, deeplense_equivariant.options as o; from deeplense_registry import ImageShape;"
        "o.EquivariantOptions().facts(ImageShape(1, 64, 64)); assert 'torch' not in sys.modules"
    )
    run([sys.executable, "-c", code], check=True)


def test_the_fingerprint_is_the_trunks(tmp_path):
    (tmp_path / "weights.pth").write_bytes(b"one")
    options = EquivariantOptions(trunk="cvt", trunk_options={"variant": "13", "weights": str(tmp_path / "weights.pth")})
    first = options.fingerprint()
    (tmp_path / "weights.pth").write_bytes(b"two")
    assert len({"", first, options.fingerprint(), EquivariantOptions(trunk="cvt").fingerprint()}) == 3
