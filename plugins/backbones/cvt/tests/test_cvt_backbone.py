import copy
import sys
from subprocess import run

import pytest
import torch
from attrs import evolve
from deeplense_cvt.backbone import CvT
from deeplense_cvt.layers import DropPath, QuickGELU, attend
from deeplense_cvt.options import ARCHITECTURES, CvTOptions
from torch import nn
from torch.nn import functional as F

from deeplense_registry import ImageShape, RunFacts, UserError, catalogue, scan
from deeplense_registry.blocks.ema import follow, make_teacher

LENS = ("tiny", "tiny-s2")


def build(variant="tiny", shape=(1, 64, 64), **options):
    torch.manual_seed(0)
    return CvT(CvTOptions(variant=variant, **options), ImageShape(*shape))


def shaken(model):
    """The model with every parameter moved, and the statistics of some images in its batch norms."""
    torch.manual_seed(1)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        for norm in norms:
            norm.momentum = 1.0
        model.train()(torch.randn(8, model.channels, 64, 64))
    for norm in norms:
        norm.momentum = 0.1
    return model


def exact(model):
    """In evaluation mode and float64: what differs beyond 1e-9 differs in its mathematics, not by rounding."""
    return shaken(model).eval().double()


@pytest.mark.parametrize(
    ("variant", "bands", "count"),
    [
        ("13", 3, 19_611_712),
        ("13", 1, 19_605_440),
        ("21", 3, 31_236_928),
        ("21", 1, 31_230_656),
        ("w24", 3, 276_169_344),
        ("tiny", 1, 2_244_832),
        ("tiny-s2", 1, 2_244_832),
    ],
)
def test_the_number_of_parameters_is_the_published_one(variant, bands, count):
    with torch.device("meta"):
        model = build(variant, (bands, 64, 64))
    last_norm = 2 * model.width  # counted with the published classifier
    assert sum(p.numel() for p in model.parameters()) == count + last_norm


@pytest.mark.parametrize(("variant", "published"), [("13", 19_997_480), ("21", 31_622_696), ("w24", 277_196_392)])
def test_with_a_classifier_of_1000_classes_it_is_that_of_the_paper(variant, published):
    with torch.device("meta"):
        model = nn.Sequential(build(variant, (3, 224, 224)), nn.Linear(ARCHITECTURES[variant].widths[-1], 1000))
    assert sum(p.numel() for p in model.parameters()) == published


@pytest.mark.parametrize("variant", LENS)
@pytest.mark.parametrize("size", [(32, 32), (48, 48), (64, 64), (96, 96), (150, 150), (64, 96)])
def test_any_size_gives_the_grids_that_the_facts_announce(variant, size):
    model = build(variant).eval()
    options = CvTOptions(variant=variant)
    facts = options.facts(ImageShape(1, *size))
    with torch.no_grad():
        features = model(torch.randn(1, 1, *size))
    grids = options.architecture.grids(*size)
    assert [tuple(level.shape[1:]) for level in features.pyramid] == [
        (channels, *grid) for channels, grid in zip((32, 96, 192), grids, strict=True)
    ]
    assert features.grid is features.pyramid[-1]
    assert tuple(features.grid.shape[2:]) == facts.grid
    assert features.pooled.shape == (1, facts.width) == (1, model.width)
    assert facts.batch_norm


def test_the_grids_are_those_of_the_reference():
    grids = {side: [h for h, _ in ARCHITECTURES["13"].grids(side, side)] for side in (16, 24, 32, 64, 96, 150, 224)}
    assert grids == {
        16: [4, 2, 1],
        24: [6, 3, 2],
        32: [8, 4, 2],
        64: [16, 8, 4],
        96: [24, 12, 6],
        150: [37, 19, 10],
        224: [56, 28, 14],
    }
    assert ARCHITECTURES["tiny-s2"].grids(64, 96) == ((32, 48), (16, 24), (8, 12))


@pytest.mark.parametrize("bands", [1, 3, 5])
def test_images_of_any_number_of_bands_and_no_other(bands):
    model = build(shape=(bands, 64, 64)).eval()
    assert model(torch.randn(2, bands, 32, 32)).pooled.shape == (2, 192)
    with pytest.raises(UserError, match=f"built for images of {bands} bands and got 2"):
        model(torch.zeros(2, 2, 64, 64))


@pytest.mark.parametrize(("variant", "remedy"), [("tiny", "or the variant tiny-s2"), ("tiny-s2", "crops$")])
def test_the_smallest_size_is_one_token_and_a_smaller_one_is_refused(variant, remedy):
    side = CvTOptions(variant=variant).facts(ImageShape(1, 64, 64)).min_size
    model = build(variant).eval()
    assert model(torch.zeros(1, 1, side, side)).grid.shape[2:] == (1, 1)
    with pytest.raises(UserError, match=f"{side - 1}x64 pixels; this variant needs {side} on each side.*{remedy}"):
        model(torch.zeros(1, 1, side - 1, 64))


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_a_row_depends_on_its_own_image_alone_in_evaluation(pool):
    model = exact(build("tiny-s2", pool=pool))
    images = torch.randn(4, 1, 32, 48, dtype=torch.float64)
    with torch.no_grad():
        rows = torch.cat([model(image[None]).pooled for image in images])
        torch.testing.assert_close(model(images).pooled, rows, rtol=0, atol=1e-9)
    assert rows.std(0).mean() > 0.01  # images differ


def test_every_token_is_normalised_and_the_mean_is_that_of_the_grid():
    model = build(pool="mean").eval()
    features = model(torch.randn(2, 1, 64, 64))
    torch.testing.assert_close(features.grid.mean(1), torch.zeros(2, 4, 4), rtol=0, atol=1e-5)
    torch.testing.assert_close(features.grid.var(1, correction=0), torch.ones(2, 4, 4), rtol=0, atol=1e-2)
    torch.testing.assert_close(features.pooled, features.grid.mean((2, 3)))


def test_the_grid_lies_as_the_image_does():
    model = exact(build("tiny-s2"))
    image = torch.zeros(1, 1, 64, 64, dtype=torch.float64)
    spot = image.clone()
    spot[:, :, 4:12, 40:48] = 5.0
    with torch.no_grad():
        change = (model(spot).pyramid[0] - model(image).pyramid[0]).square().sum(1)[0]
    assert divmod(int(change.argmax()), 32) in [(y, x) for y in range(1, 7) for x in range(19, 25)]


def test_a_teacher_moved_in_place_while_evaluating_answers_otherwise():
    student = shaken(build()).eval()
    teacher = make_teacher(build(drop_path=0.0), student).eval()
    images = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        before = teacher(images).pooled
        torch.testing.assert_close(before, student(images).pooled)
        follow(teacher, shaken(student), 0.5)
        assert (teacher(images).pooled - before).abs().max() > 1e-2


def test_the_state_makes_the_model_and_a_copy_is_one_too():
    model = shaken(build()).eval()
    other = build().eval()
    other.load_state_dict(model.state_dict())
    images = torch.randn(2, 1, 48, 64)
    with torch.no_grad():
        assert torch.equal(model(images).pooled, other(images).pooled)
        assert torch.equal(model(images).grid, copy.deepcopy(model)(images).grid)


def test_one_image_trains_where_keys_have_several_tokens_and_torch_says_so_where_not():
    model = build().train()
    assert model(torch.randn(1, 1, 64, 64)).pooled.isfinite().all()
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        model(torch.randn(1, 1, 32, 32))


@pytest.mark.parametrize(("pool", "without"), [("cls", {"conv.weight", "norm.weight", "norm.bias"}), ("mean", set())])
def test_the_gradient_reaches_all_but_the_last_queries_of_grid_tokens(pool, without):
    model = shaken(build(pool=pool)).train()
    features = model(torch.randn(4, 1, 64, 64))
    features.pooled.square().sum().backward(retain_graph=True)
    prefix = "stages.2.blocks.3.attention.query."
    still = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert still == {prefix + name for name in without}
    features.grid.pow(3).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_bfloat16_stays_near_float32():
    model = shaken(build("tiny-s2")).eval()
    images = torch.randn(4, 1, 64, 64)
    with torch.no_grad():
        fine = model(images).pooled
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = model(images).pooled.float()
    assert F.cosine_similarity(fine, rough).min() > 0.99


def test_on_another_device_it_is_the_same_network():
    with torch.device("meta"):
        features = build("13")(torch.empty(2, 1, 64, 64))
    assert features.grid.shape == (2, 384, 4, 4)
    assert features.pooled.device.type == "meta"


def test_attention_is_the_same_by_either_way():
    q, k, v = (torch.randn(2, 3, n, 8).bfloat16() for n in (17, 5, 5))
    fused = attend(q.float(), k.float(), v.float(), 0.1)
    torch.testing.assert_close(attend(q, k, v, 0.1).float(), fused, rtol=0, atol=2e-2)


def test_quick_gelu_is_its_definition():
    x = torch.linspace(-6.0, 6.0, 101, dtype=torch.float64)
    torch.testing.assert_close(QuickGELU()(x), x * torch.sigmoid(1.702 * x))


def rates(model):
    return [[block.drop_path.rate for block in stage.blocks] for stage in model.stages]


def test_stochastic_depth_rises_over_the_last_stage_alone():
    with torch.device("meta"):
        published = rates(build("13"))
    assert published[:2] == [[0.0], [0.0, 0.0]]
    assert published[2] == pytest.approx([0.1 * i / 9 for i in range(10)])
    assert rates(build("tiny", drop_path=0.3))[2] == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_the_rate_of_a_teacher_overrides_that_of_the_options():
    options = CvTOptions(drop_path=0.3)
    teacher = CvT(options, ImageShape(1, 64, 64), drop_path=0.0)
    assert {rate for stage in rates(teacher) for rate in stage} == {0.0}


def test_drop_path_keeps_the_mean_and_whole_samples():
    drop = DropPath(0.25).train()
    torch.manual_seed(3)
    y = drop(torch.ones(4000, 2, 3))
    assert y.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert torch.equal(y.amin(dim=(1, 2)), y.amax(dim=(1, 2)))
    assert y.mean().item() == pytest.approx(1.0, abs=0.05)
    assert torch.equal(drop.eval()(y), y)


def test_the_class_token_is_spared_weight_decay_and_starts_small():
    model = build()
    (name,) = model.no_weight_decay()
    assert model.get_parameter(name).shape == (1, 1, 192)
    assert 0.015 < model.get_parameter(name).std() < 0.025


def test_the_options_refuse_a_rate_of_one_and_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="drop_path"):
        CvTOptions(drop_path=1.0)
    shape = ImageShape(1, 64, 64)
    options = CvTOptions(weights=str(tmp_path / "none.pth"))
    facts = RunFacts(
        shape=shape, images=8, batch_size=8, micro_batch=8, epochs=1, steps=1, backbone=options.facts(shape)
    )
    (text,) = options.check(facts)
    assert text.startswith("weights: no file")
    (tmp_path / "none.pth").touch()
    assert not list(options.check(facts))
    assert not list(evolve(options, weights=None).check(facts))


def test_it_is_found_and_its_options_need_no_torch():
    (row,) = catalogue([one for one in scan() if (one.kind, one.name) == ("backbone", "cvt")])
    assert (row.state, row.found.distribution) == ("ok", "deeplense-cvt")
    code = "import sys, deeplense_cvt, deeplense_cvt.options; assert 'torch' not in sys.modules"
    run([sys.executable, "-c", code], check=True)
