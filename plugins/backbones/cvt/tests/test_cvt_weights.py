import re

import pytest
import torch
from deeplense_cvt.backbone import CvT
from deeplense_cvt.options import ARCHITECTURES, CvTOptions
from deeplense_cvt.weights import official_name
from safetensors.torch import save_file
from torch import nn
from transformers import CvtConfig, CvtForImageClassification

from deeplense_registry import ImageShape, UserError

TO_OFFICIAL = [
    (r"^cvt\.encoder\.stages\.(\d)\.", r"stage\1."),
    (r"\.embedding\.convolution_embeddings\.projection\.", ".patch_embed.proj."),
    (r"\.embedding\.convolution_embeddings\.normalization\.", ".patch_embed.norm."),
    (r"\.layers\.", ".blocks."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"\.attention\.attention\.projection_(q|k|v)\w+\.", r".attn.proj_\1."),
    (
        r"\.attention\.attention\.convolution_projection_(q|k|v)\w+\.convolution_projection\.convolution\.",
        r".attn.conv_proj_\1.conv.",
    ),
    (
        r"\.attention\.attention\.convolution_projection_(q|k|v)\w+\.convolution_projection\.normalization\.",
        r".attn.conv_proj_\1.bn.",
    ),
    (r"^layernorm\.", "norm."),
    (r"^classifier\.", "head."),
]
"""From the names of transformers to those of the official files."""


def peer(variant, bands=3, labels=10):
    """The model of transformers with random gains, biases and statistics, in evaluation mode.

    Its stochastic depth indexes the rates by the stage, so that it can be compared in evaluation alone.
    """
    torch.manual_seed(0)
    numbers = ARCHITECTURES[variant]
    model = CvtForImageClassification(
        CvtConfig(
            num_channels=bands,
            embed_dim=list(numbers.widths),
            num_heads=list(numbers.heads),
            depth=list(numbers.depths),
            patch_stride=[numbers.stem, 2, 2],
            patch_padding=[numbers.padding, 1, 1],
            drop_path_rate=[0.0, 0.0, 0.0],
            num_labels=labels,
        )
    ).eval()
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.LayerNorm)):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            nn.init.normal_(module.weight, std=1.5 * module.weight[0].numel() ** -0.5)
    return model


def official_state(model):
    """The state of transformers' model as the official file would have it."""
    state = {}
    for name, value in model.state_dict().items():
        for pattern, replacement in TO_OFFICIAL:
            name = re.sub(pattern, replacement, name)
        state[name] = value.clone()
    return state


def ours(variant, bands, path, **options):
    return CvT(CvTOptions(variant=variant, weights=str(path), **options), ImageShape(bands, 64, 64)).eval()


@pytest.mark.parametrize(
    ("variant", "bands", "size"),
    [("tiny", 1, (64, 64)), ("tiny-s2", 5, (32, 48)), ("13", 3, (96, 64)), ("tiny", 3, (150, 150))],
)
def test_it_computes_what_transformers_computes_from_an_official_file(variant, bands, size, tmp_path):
    theirs = peer(variant, bands)
    torch.save(official_state(theirs), tmp_path / "cvt.pth")
    mine = ours(variant, bands, tmp_path / "cvt.pth", act="gelu")
    images = torch.randn(2, bands, *size, dtype=torch.float64)
    with torch.no_grad():
        features, expected = mine.double()(images), theirs.double().cvt(images, output_hidden_states=True)
        cls = theirs.layernorm(expected.cls_token_value)[:, 0]
        tokens = theirs.layernorm(expected.last_hidden_state.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(features.pooled, cls, rtol=0, atol=1e-9)
    torch.testing.assert_close(features.grid, tokens, rtol=0, atol=1e-9)
    for level, state in zip(features.pyramid[:2], expected.hidden_states, strict=False):
        torch.testing.assert_close(level, state, rtol=0, atol=1e-9)
    assert cls.std(0).mean() > 0.01  # images differ


def test_the_activation_matters(tmp_path):
    theirs = peer("tiny", 1)
    save_file(official_state(theirs), tmp_path / "cvt.safetensors")
    images = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        exact, quick = (
            ours("tiny", 1, tmp_path / "cvt.safetensors", act=act)(images).pooled for act in ("gelu", "quick_gelu")
        )
    assert 1e-3 < (exact - quick).abs().max() < 1.0


def test_names_are_the_official_ones():
    assert official_name("stages.2.cls") == "stage2.cls_token"
    assert official_name("norm.weight") == "norm.weight"
    assert (
        official_name("stages.0.blocks.1.attention.key.norm.running_var")
        == "stage0.blocks.1.attn.conv_proj_k.bn.running_var"
    )
    with torch.device("meta"):
        names = CvT(CvTOptions(variant="13"), ImageShape(3, 64, 64)).state_dict()
        theirs = official_state(CvtForImageClassification(CvtConfig()))
    assert {official_name(name) for name in names} | {"head.weight", "head.bias"} == set(theirs)


def test_the_weights_of_another_model_are_refused_by_name(tmp_path):
    path = tmp_path / "cvt.pth"
    torch.save(official_state(peer("tiny", 3)), path)
    with pytest.raises(UserError, match=r"not the weights.*missing stage2\.blocks\.4.*and \d+ more"):
        ours("13", 3, path)
    with pytest.raises(
        UserError, match=r"stage0\.patch_embed\.proj\.weight is \(32, 3, 7, 7\) where the model has \(32, 1, 7, 7\)"
    ):
        ours("tiny", 1, path)
    torch.save(official_state(peer("tiny", 3)) | {"extra": torch.zeros(1)}, path)
    with pytest.raises(UserError, match=r"this model: unexpected extra: give"):
        ours("tiny", 3, path)


@pytest.mark.parametrize("name", ["absent.pth", "junk.pth", "empty.pth", "junk.safetensors", "absent.safetensors"])
def test_a_file_that_cannot_be_read_is_named(name, tmp_path):
    path = tmp_path / name
    if "absent" not in name:
        path.write_bytes(b"junk" if "junk" in name else b"")
    with pytest.raises(UserError, match=f"{name}: cannot read weights"):
        ours("tiny", 1, path)


def test_a_file_of_other_things_is_refused_and_none_is_executed(tmp_path):
    torch.save({"epoch": 3, "state_dict": {}}, tmp_path / "training.pth")
    with pytest.raises(UserError, match="holds no tensors by name; give the state dict alone"):
        ours("tiny", 1, tmp_path / "training.pth")
    torch.save(pytest.approx, tmp_path / "code.pth")
    with pytest.raises(UserError, match=r"code\.pth: cannot read weights"):
        ours("tiny", 1, tmp_path / "code.pth")


def test_other_weights_make_another_fingerprint(tmp_path):
    prints = {CvTOptions().fingerprint(), CvTOptions(weights=str(tmp_path / "cvt.pth")).fingerprint()}
    for content in (b"one", b"two", b"two"):
        (tmp_path / "cvt.pth").write_bytes(content)
        prints.add(CvTOptions(weights=str(tmp_path / "cvt.pth")).fingerprint())
    assert "" in prints
    assert len(prints) == 4
