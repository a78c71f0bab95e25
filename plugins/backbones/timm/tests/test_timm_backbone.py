import copy
import sys
from subprocess import run

import pytest
import timm
import torch
from deeplense_timm.backbone import Timm
from deeplense_timm.options import TimmOptions
from torch import nn
from torch.nn import functional as F

from deeplense_registry import ImageShape, RunFacts, UserError, catalogue, scan
from deeplense_registry.blocks.ema import follow, make_teacher
from deeplense_registry.components import BackboneFacts

VIT = "vit_tiny_patch16_224"
SMALL = "test_vit"  # of 0.3 million parameters


def build(model="resnet18", shape=(1, 64, 64), **options):
    torch.manual_seed(0)
    return Timm(TimmOptions(model=model, **options), ImageShape(*shape))


def shaken(model):
    """The model with every parameter moved, so that no branch is silent."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return model


@pytest.mark.parametrize(
    ("model", "bands", "small_stem", "count"),
    [
        ("resnet18", 3, False, 11_689_512 - 513_000),  # published, less the classifier
        ("resnet50", 3, False, 25_557_032 - 2_049_000),
        ("resnet50", 1, False, 25_557_032 - 2_049_000 - 2 * 64 * 49),
        ("resnet50", 1, True, 25_557_032 - 2_049_000 - 64 * (3 * 49 - 9)),
        (VIT, 3, True, 5_524_416 - 180 * 192),  # with the position embeddings of 4x4 patches instead of 14x14
    ],
)
def test_the_number_of_parameters_is_the_published_one(model, bands, small_stem, count):
    with torch.device("meta"):
        built = build(model, (bands, 64, 64), small_stem=small_stem)
    assert sum(p.numel() for p in built.parameters()) == count


@pytest.mark.parametrize("bands", [1, 3, 5])
@pytest.mark.parametrize("size", [(32, 32), (64, 96)])
def test_a_resnet_has_five_grids_of_which_a_small_stem_doubles_four(bands, size):
    images = torch.randn(2, bands, *size)
    for small_stem, strides in ((True, (2, 4, 8, 16)), (False, (2, 4, 8, 16, 32))):
        model = build(shape=(bands, 64, 64), small_stem=small_stem).eval()
        with torch.no_grad():
            features = model(images)
        expected = [(size[0] // stride, size[1] // stride) for stride in strides]
        assert [tuple(level.shape[2:]) for level in features.pyramid] == expected
        assert features.grid is features.pyramid[-1]
        assert features.pooled.shape == (2, model.width) == (2, 512)
        torch.testing.assert_close(features.pooled, features.grid.mean((2, 3)))


def test_a_deep_stem_keeps_its_convolutions_and_loses_the_pool():
    model = build("resnet10t", small_stem=True)
    assert isinstance(model.model.conv1, nn.Sequential)
    assert model.eval()(torch.zeros(1, 1, 64, 64)).grid.shape[2:] == (4, 4)


def test_a_convolutional_stem_makes_the_same_tokens():
    plain, conv = (build(VIT, (3, 64, 64), conv_stem=stem).eval() for stem in (False, True))
    stem = conv.model.patch_embed.proj
    assert [layer.out_channels for layer in stem if isinstance(layer, nn.Conv2d)] == [24, 48, 96, 192, 192]
    for size in ((64, 64), (96, 64), (150, 150)):
        images = torch.randn(2, 3, *size)
        with torch.no_grad():
            assert plain(images).grid.shape == conv(images).grid.shape
    conv.train()(torch.randn(2, 3, 64, 64)).pooled.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in stem.parameters() if p.ndim > 1)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("resnet18", {}, "cuts no patches"),
        ("vit_base_patch14_dinov2", {}, r"patches of \(14, 14\)"),
        (SMALL, {"weights": "some.safetensors"}, "some.safetensors"),
    ],
)
def test_a_convolutional_stem_that_does_not_fit_is_refused(model, options, message):
    with torch.device("meta"), pytest.raises(UserError, match=message):
        build(model, (3, 56, 56), conv_stem=True, **options)


@pytest.mark.parametrize("size", [(64, 64), (96, 96), (150, 150), (64, 96)])
def test_a_vision_transformer_takes_any_size(size):
    model = build(VIT, (3, 64, 64)).eval()
    with torch.no_grad():
        features = model(torch.randn(2, 3, *size))
    assert features.grid.shape == (2, 192, -(-size[0] // 16), -(-size[1] // 16))
    assert features.pyramid == (features.grid,)
    assert features.pooled.shape == (2, model.width) == (2, 192)
    torch.testing.assert_close(features.grid.mean(1), torch.zeros(features.grid[:, 0].shape), rtol=0, atol=1e-4)


def test_its_representation_is_what_timm_would_classify():
    model = shaken(build(VIT, (1, 64, 64))).eval()
    images = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model(images).pooled, model.model(images))


@pytest.mark.parametrize("name", ["convnext_atto", "mobilenetv3_small_050", "swiftformer_xs", "xcit_nano_12_p8_224"])
def test_other_families_come_with_a_grid_and_a_representation(name):
    model = build(name).eval()
    with torch.no_grad():
        features = model(torch.randn(2, 1, 96, 64))
    assert features.pooled.shape == (2, model.width)
    sides = [level.shape[2] for level in features.pyramid]
    assert sides == sorted(set(sides), reverse=True)


@pytest.mark.parametrize("name", ["resnet18", SMALL])
def test_a_row_depends_on_its_own_image_alone_in_evaluation(name):
    model = shaken(build(name)).eval().double()
    images = torch.randn(4, 1, 48, 48, dtype=torch.float64)
    with torch.no_grad():
        rows = torch.cat([model(image[None]).pooled for image in images])
        torch.testing.assert_close(model(images).pooled, rows, rtol=0, atol=1e-9)
    assert rows.std(0).mean() > 1e-3  # images differ


@pytest.mark.parametrize("name", ["resnet18", SMALL, "levit_128s"])
def test_a_teacher_moved_in_place_while_evaluating_answers_as_one_built_with_its_weights(name):
    student = build(name).eval()
    teacher = make_teacher(build(name), student).eval()
    images = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        before = teacher(images).pooled
        follow(teacher, shaken(student), 0.5)
        after = teacher(images).pooled
        fresh = build(name).eval()
        fresh.load_state_dict(teacher.state_dict())
        torch.testing.assert_close(after, fresh(images).pooled)  # levit: timm's cached biases would be the old ones
    assert (after - before).abs().max() > 1e-4


def test_a_copy_is_a_model_of_its_own():
    model = build(SMALL).eval()
    other = shaken(copy.deepcopy(model))
    images = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        assert not torch.equal(model(images).pooled, other(images).pooled)


def test_the_gradient_reaches_every_parameter():
    model = shaken(build("resnet18")).train()
    model(torch.randn(4, 1, 64, 64)).pooled.pow(3).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_bfloat16_stays_near_float32():
    model = build(SMALL).eval()
    images = torch.randn(4, 1, 64, 64)
    with torch.no_grad():
        fine = model(images).pooled
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = model(images).pooled.float()
    assert F.cosine_similarity(fine, rough).min() > 0.99


def test_position_embeddings_are_spared_weight_decay():
    model = build(SMALL)
    spared = model.no_weight_decay() & {name for name, _ in model.named_parameters()}
    assert "model.pos_embed" in spared
    assert build("resnet18").no_weight_decay() == frozenset()


@pytest.mark.parametrize(
    ("name", "hint"),
    [("resnet51", "did you mean .*resnet50"), ("resnet50.a1_in1k", "did you mean resnet50"), ("###", "list_models")],
)
def test_a_model_that_timm_lacks_is_named_with_its_neighbours(name, hint):
    with pytest.raises(UserError, match=f'timm has no model "{name}"; .*{hint}'):
        build(name)


def test_another_number_of_bands_is_refused():
    with pytest.raises(UserError, match="resnet18 was built for images of 1 bands and got 3"):
        build()(torch.zeros(2, 3, 64, 64))


def test_a_size_that_the_model_refuses_is_said():
    model = build("levit_128s").eval()
    with pytest.raises(
        UserError, match=r"levit_128s, built for 64x64 pixels, fails on \(2, 1, 96, 96\).*views of that"
    ):
        model(torch.zeros(2, 1, 96, 96))
    with pytest.raises(UserError, match="choose another model or image size"):
        build("inception_v3").eval()(torch.zeros(2, 1, 64, 64))


def test_stochastic_depth_is_the_teachers_where_it_is_given():
    def rates(model):
        return {m.drop_prob for m in model.modules() if isinstance(m, timm.layers.DropPath)}

    options = TimmOptions(model=SMALL, drop_path=0.2)
    assert max(rates(Timm(options, ImageShape(1, 64, 64)))) == pytest.approx(0.2)
    assert rates(Timm(options, ImageShape(1, 64, 64), drop_path=0.0)) <= {0.0}
    with pytest.raises(UserError, match="densenet121 has no stochastic depth"):
        build("densenet121", drop_path=0.1)


@pytest.mark.parametrize("bands", [3, 1])
def test_weights_of_a_file_are_fitted_to_the_bands(bands, tmp_path):
    theirs = shaken(timm.create_model("resnet18")).eval()
    torch.save(theirs.state_dict(), tmp_path / "resnet18.pth")
    mine = build(shape=(bands, 64, 64), small_stem=False, weights=str(tmp_path / "resnet18.pth")).eval()
    images = torch.randn(2, bands, 64, 64)
    with torch.no_grad():
        expected = theirs.forward_head(theirs.forward_features(images.expand(-1, 3, -1, -1)), pre_logits=True)
        torch.testing.assert_close(mine(images).pooled, expected, rtol=1e-4, atol=1e-4)


def test_weights_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "weights.pth"
    with pytest.raises(UserError, match=r"weights\.pth: no such file"):
        build(weights=str(path))
    torch.save(timm.create_model("resnet18").state_dict(), path)
    with pytest.raises(UserError, match="are for its own stem: set small_stem = false"):
        build(weights=str(path))
    with pytest.raises(UserError, match=r"not the weights of timm's resnet34: .*Missing key"):
        build("resnet34", small_stem=False, weights=str(path))
    torch.save(pytest.approx, path)
    with pytest.raises(UserError, match="not the weights of timm's resnet18"):
        build(weights=str(path))


def test_a_missing_file_is_found_before_the_run(tmp_path):
    backbone = BackboneFacts(width=1, min_size=1, grid=(1, 1), batch_norm=True)
    shape = ImageShape(1, 64, 64)
    facts = RunFacts(shape=shape, images=8, batch_size=8, micro_batch=8, epochs=1, steps=1, backbone=backbone)
    (text,) = TimmOptions(weights=str(tmp_path / "none")).check(facts)
    assert text.startswith("weights: no file")
    assert not list(TimmOptions().check(facts))


def test_it_is_found_and_its_options_need_no_torch():
    (row,) = catalogue([one for one in scan() if (one.kind, one.name) == ("backbone", "timm")])
    assert (row.state, row.found.distribution) == ("ok", "deeplense-timm")
    code = "import sys, deeplense_timm, deeplense_timm.options; assert not {'torch', 'timm'} & set(sys.modules)"
    run([sys.executable, "-c", code], check=True)


def test_other_weights_make_another_fingerprint(tmp_path):
    (tmp_path / "weights.pth").write_bytes(b"one")
    with_file = TimmOptions(weights=str(tmp_path / "weights.pth"))
    first = with_file.fingerprint()
    (tmp_path / "weights.pth").write_bytes(b"two")
    assert len({"", first, with_file.fingerprint(), TimmOptions().fingerprint()}) == 3
