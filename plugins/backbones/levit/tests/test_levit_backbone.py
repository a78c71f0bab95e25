import copy
import sys
from subprocess import run

import pytest
import timm
import torch
from deeplense_levit.attention import Attention, distances, fit
from deeplense_levit.backbone import LeViT
from deeplense_levit.layers import DropPath
from deeplense_levit.options import ARCHITECTURES, LeViTOptions
from torch import nn
from torch.nn import functional as F

from deeplense_registry import ImageShape, UserError, catalogue, scan

LENS = ("128s-s8", "128s-s4", "128s")


def build(variant="128s", shape=(1, 64, 64), **options):
    torch.manual_seed(0)
    return LeViT(LeViTOptions(variant=variant, **options), ImageShape(*shape))


def shaken(model):
    """The model with random gains, biases and tables, and the statistics of some images.

    A fresh one hides most of the network behind zero gains, and with statistics at random its output hardly depends on
    its input: a comparison of either proves nothing.
    """
    torch.manual_seed(1)
    norms = [m for m in model.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.0)
        nn.init.normal_(norm.bias, std=0.1)
        norm.momentum = 1.0
    for module in model.modules():
        if isinstance(module, Attention):
            nn.init.normal_(module.biases)
    with torch.no_grad():
        model.train()(torch.randn(16, model.channels, 64, 64))
    for norm in norms:
        norm.momentum = 0.1
    return model


def exact(model):
    """In evaluation mode and float64: what differs beyond 1e-9 differs in its mathematics, not by rounding."""
    return shaken(model).eval().double()


def into_timm(mine, **arguments):
    """timm's model of some size with the same weights: they agree in order, and its tables are parts of ours."""
    theirs = timm.create_model("levit_128s", num_classes=0, **arguments).eval().double()
    grids = [b.resolution for b in theirs.modules() if hasattr(b, "attention_biases")]
    state = theirs.state_dict()
    for (name, value), target in zip(mine.state_dict().items(), state.values(), strict=True):
        if name.endswith(".biases"):
            height, width = grids.pop(0)
            value = value[:, :height, :width]
        target.copy_(value.reshape(target.shape))
    return theirs


@pytest.mark.parametrize(
    ("variant", "colour", "lens"),
    [
        ("128s", 7_005_522, 7_000_344),
        ("128", 8_442_400, 8_434_912),
        ("192", 10_175_533, 10_170_196),
        ("256", 17_865_828, 17_858_832),
        ("384", 37_587_764, 37_577_360),
        ("128s-s8", None, 6_997_120),
        ("128s-s4", None, 6_984_000),
    ],
)
def test_the_number_of_parameters_is_the_published_one(variant, colour, lens):
    with torch.device("meta"):
        counts = [
            sum(p.numel() for p in LeViT(LeViTOptions(variant=variant), ImageShape(*shape)).parameters())
            for shape in ((3, 224, 224), (1, 64, 64))
        ]
    assert counts[1] == lens
    assert colour in (None, counts[0])


@pytest.mark.parametrize(
    ("bands", "built", "size"), [(1, 64, 64), (3, 224, 224), (3, 224, 64), (5, 96, 48), (1, 64, 32)]
)
def test_it_computes_what_timm_computes_at_the_built_size_and_below(bands, built, size):
    mine = exact(build(shape=(bands, built, built)))
    images = torch.randn(2, bands, size, size, dtype=torch.float64)
    with torch.no_grad():
        theirs = into_timm(mine, in_chans=bands, img_size=size)(images)
        torch.testing.assert_close(mine(images).pooled, theirs, rtol=0, atol=1e-9)
    assert theirs.std(0).mean() > 0.1  # images differ


def test_it_computes_what_timm_computes_on_an_oblong_image():
    mine = exact(build(shape=(1, 64, 96)))
    images = torch.randn(2, 1, 64, 96, dtype=torch.float64)
    with torch.no_grad():
        theirs = into_timm(mine, in_chans=1, img_size=(64, 96))(images)
        torch.testing.assert_close(mine(images).pooled, theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("variant", LENS)
def test_any_size_gives_the_grids_that_the_facts_announce(variant):
    options = LeViTOptions(variant=variant)
    model = build(variant).eval()
    for height, width in ((16, 16), (32, 32), (48, 48), (96, 96), (150, 150), (64, 96)):
        with torch.no_grad():
            features = model(torch.randn(1, 1, height, width))
        facts = options.facts(ImageShape(1, height, width))
        assert [tuple(level.shape[1:]) for level in features.pyramid] == [
            (channels, *grid)
            for channels, grid in zip(
                options.architecture.widths, options.architecture.grids(height, width), strict=True
            )
        ]
        assert tuple(features.grid.shape[2:]) == facts.grid
        assert features.pooled.shape == (1, facts.width) == (1, model.width)
        torch.testing.assert_close(features.pooled, features.grid.mean(dim=(2, 3)))
    assert facts.batch_norm


@pytest.mark.parametrize("variant", LENS)
def test_the_smallest_size_is_one_token_and_a_smaller_one_is_refused(variant):
    facts = LeViTOptions(variant=variant).facts(ImageShape(1, 64, 64))
    model = build(variant).eval()
    side = facts.min_size
    assert model(torch.zeros(1, 1, side, side)).pyramid[0].shape[2:] == (1, 1)
    with pytest.raises(UserError, match=f"{side - 1}x64 pixels; this variant needs {side}"):
        model(torch.zeros(1, 1, side - 1, 64))


def test_another_number_of_bands_is_refused():
    with pytest.raises(UserError, match="built for images of 1 bands and got 3"):
        build()(torch.zeros(2, 3, 64, 64))


def test_a_row_depends_on_its_own_image_alone_in_evaluation():
    model = exact(build("128s-s8"))
    images = torch.randn(6, 1, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        rows = torch.cat([model(image[None]).pooled for image in images])
        torch.testing.assert_close(model(images).pooled, rows, rtol=0, atol=1e-9)


def test_a_teacher_moved_in_place_while_evaluating_answers_otherwise():
    model = shaken(build("128s-s8")).eval()
    images = torch.randn(2, 1, 64, 64)
    with torch.inference_mode():
        before = model(images).pooled
    teacher = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in teacher.named_parameters():
            if name.endswith(".biases"):
                parameter.lerp_(torch.randn_like(parameter), 0.5)
        assert (teacher(images).pooled - before).abs().max() > 1e-3
        torch.testing.assert_close(model(images).pooled, before)


def test_the_state_makes_the_model():
    model = shaken(build("128s-s8")).eval()
    other = build("128s-s8").eval()
    other.load_state_dict(model.state_dict())
    images = torch.randn(2, 1, 48, 64)
    with torch.no_grad():
        assert torch.equal(model(images).pooled, other(images).pooled)


@pytest.mark.parametrize("variant", ["128s-s8", "128s"])
def test_the_gradient_reaches_every_parameter(variant):
    model = shaken(build(variant, shape=(1, 96, 96))).train()
    features = model(torch.randn(4, 1, 96, 96))
    (features.pooled * torch.randn_like(features.pooled)).sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_residual_branches_start_as_nothing():
    model = build("128s-s8").train()
    tokens = torch.randn(2, 8, 8, 128)
    assert torch.equal(model.stages[0](tokens), tokens)


def test_one_image_trains_where_the_last_grid_has_several_tokens_and_torch_says_so_where_not():
    model = build("128s-s8").train()
    assert model(torch.randn(1, 1, 64, 64)).pooled.isfinite().all()
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        model(torch.randn(1, 1, 8, 8))


def test_bfloat16_stays_near_float32():
    model = shaken(build("128s-s8")).eval()
    images = torch.randn(4, 1, 64, 64)
    with torch.no_grad():
        fine = model(images).pooled
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = model(images).pooled.float()
    assert F.cosine_similarity(fine, rough).min() > 0.99


def test_the_bias_tables_are_spared_weight_decay():
    model = build("128s-s8")
    spared = model.no_weight_decay()
    assert len(spared) == 2 + 3 + 4 + 2
    assert {model.get_parameter(name).ndim for name in spared} == {3}


def test_the_bias_of_a_pair_is_the_entry_of_its_distance():
    attention = Attention(8, 8, key_width=4, value_width=4, heads=2, table=(5, 6))
    nn.init.normal_(attention.biases)
    bias = attention.bias(3, 4, distances(3, 4, 1, torch.device("cpu")))
    for query in range(12):
        for key in range(12):
            dy, dx = abs(query // 4 - key // 4), abs(query % 4 - key % 4)
            assert torch.equal(bias[:, query, key], attention.biases[:, dy, dx])


def test_a_table_is_stretched_only_along_the_axis_that_outgrows_it():
    table = torch.randn(2, 4, 4)
    stretched = fit(table, 7, 3)
    assert torch.equal(stretched[:, ::2], table[:, :, :3])  # 7 = 2 * 4 - 1: every second entry is an old one
    torch.testing.assert_close(stretched[:, 1], table[:, :2, :3].mean(1))
    assert fit(table, 4, 4) is not None
    assert torch.equal(fit(torch.ones(1, 1, 1), 3, 2), torch.ones(1, 3, 2))


def test_drop_path_keeps_the_mean_and_whole_samples():
    drop = DropPath(0.25).train()
    torch.manual_seed(3)
    y = drop(torch.ones(4000, 2, 3))
    assert y.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert torch.equal(y.amin(dim=(1, 2)), y.amax(dim=(1, 2)))
    assert y.mean().item() == pytest.approx(1.0, abs=0.05)
    assert torch.equal(drop.eval()(y), y)


def test_the_rate_of_a_teacher_overrides_that_of_the_options():
    options = LeViTOptions(variant="128s-s8", drop_path=0.2)
    rates = [
        {m.rate for m in LeViT(options, ImageShape(1, 64, 64), drop_path=rate).modules() if isinstance(m, DropPath)}
        for rate in (None, 0.0)
    ]
    assert rates == [{0.2}, {0.0}]


def test_the_options_refuse_a_rate_of_one():
    with pytest.raises(ValueError, match="drop_path"):
        LeViTOptions(drop_path=1.0)


def test_every_variant_has_its_numbers_and_heads_that_fit():
    for architecture in ARCHITECTURES.values():
        assert all(width % architecture.key_width == 0 for width in architecture.widths)


def test_it_is_found_and_its_options_need_no_torch():
    (row,) = catalogue([one for one in scan() if (one.kind, one.name) == ("backbone", "levit")])
    assert (row.state, row.found.distribution) == ("ok", "deeplense-levit")
    code = "import sys, deeplense_levit, deeplense_levit.options; assert 'torch' not in sys.modules"
    run([sys.executable, "-c", code], check=True)
