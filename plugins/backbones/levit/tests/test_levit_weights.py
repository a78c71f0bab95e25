import re

import pytest
import timm
import torch
from deeplense_levit.attention import fit
from deeplense_levit.backbone import LeViT
from deeplense_levit.options import ARCHITECTURES, LeViTOptions
from deeplense_levit.weights import official_name, timm_name
from safetensors.torch import save_file
from torch import nn

from deeplense_registry import ImageShape, RunFacts, UserError

PUBLISHED = ("128s", "128", "192", "256", "384")
TO_OFFICIAL = [
    (r"^stem\.conv(\d)\.", lambda m: f"patch_embed.{2 * int(m[1]) - 2}."),
    (r"^(head\w*)\.linear\.", r"\1.l."),
    (r"\.linear\.", ".c."),
    (r"\.attn_downsample\.q\.ln\.", ".attn_downsample.q.1."),
    (r"\.proj\.ln\.", ".proj.1."),
    (r"\.mlp\.ln1\.", ".mlp.0."),
    (r"\.mlp\.ln2\.", ".mlp.2."),
]
"""From the names of timm to those of the official files, where blocks are not yet counted."""


def official_state(model):
    """The state of timm's model as the official file would have it: halves of blocks in one row, as in its code."""
    halves, state = [], {}
    for name, value in model.state_dict().items():
        for pattern, replacement in TO_OFFICIAL:
            name = re.sub(pattern, replacement, name)
        half = re.match(r"stages\.\d\.(blocks\.\d+|downsample)\.(attn_downsample|attn|mlp)\.", name)
        if half:
            if half[0] not in halves:
                halves.append(half[0])
            residual = "" if half[2] == "attn_downsample" else "m."
            name = f"blocks.{halves.index(half[0])}.{residual}{name[half.end() :]}"
            if name.endswith("attention_biases"):
                state[name.replace("biases", "bias_idxs")] = torch.zeros(1, 1, dtype=torch.int64)
        state[name] = value.clone()
    return state


def peer(variant="128s", bands=3, size=224):
    """timm's model with its classifiers, random gains, biases and tables, and the statistics of some images."""
    torch.manual_seed(0)
    model = timm.create_model(f"levit_{variant}", in_chans=bands, img_size=size, num_classes=7)
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.normal_(module.bias, std=0.1)
            module.momentum = 1.0
        if hasattr(module, "attention_biases"):
            nn.init.normal_(module.attention_biases)
    with torch.no_grad():
        model.train()(torch.randn(8, bands, size, size))
    return model.eval()


def ours(path, variant="128s", bands=3, size=224, **options):
    return LeViT(LeViTOptions(variant=variant, weights=str(path), **options), ImageShape(bands, size, size)).eval()


def pooled(model, images):
    with torch.no_grad():
        features = model.forward_features(images) if hasattr(model, "forward_features") else None
        return model(images).pooled if features is None else features.mean(1)


@pytest.mark.parametrize(("variant", "bands", "size"), [("128s", 3, 224), ("192", 1, 64), ("128", 5, 96)])
@pytest.mark.parametrize("layout", ["official", "timm"])
def test_it_computes_what_timm_computes_from_a_published_file(layout, variant, bands, size, tmp_path):
    theirs, path = peer(variant, bands, size), tmp_path / "levit.pth"
    torch.save({"model": official_state(theirs)} if layout == "official" else theirs.state_dict(), path)
    mine = ours(path, variant, bands, size).double()
    images = torch.randn(2, bands, size, size, dtype=torch.float64)
    expected = pooled(theirs.double(), images)
    torch.testing.assert_close(pooled(mine, images), expected, rtol=0, atol=1e-9)
    assert expected.std(0).mean() > 0.01  # images differ


def test_the_tables_of_a_file_are_cut_to_smaller_images_and_stretched_to_larger_ones(tmp_path):
    theirs, path = peer(size=96), tmp_path / "levit.safetensors"
    save_file(theirs.state_dict(), path)
    table = theirs.state_dict()["stages.0.blocks.0.attn.attention_biases"].view(-1, 6, 6)
    for size, side in ((96, 6), (48, 3), (64, 4), (150, 10)):
        mine = ours(path, size=size)
        assert torch.equal(mine.stages[0].blocks[0].attention.biases, fit(table, side, side))
    small = timm.create_model("levit_128s", in_chans=3, img_size=48, num_classes=7).eval()
    state = theirs.state_dict()
    for name, value in small.state_dict().items():
        if name.endswith("attention_biases"):
            side, full = round(value.shape[1] ** 0.5), round(state[name].shape[1] ** 0.5)
            state[name] = state[name].view(-1, full, full)[:, :side, :side].flatten(1)
    small.load_state_dict(state)
    images = torch.randn(2, 3, 48, 48, dtype=torch.float64)
    mine = ours(path, size=48).double()
    torch.testing.assert_close(pooled(mine, images), pooled(small.double(), images), rtol=0, atol=1e-9)


@pytest.mark.parametrize("variant", PUBLISHED)
def test_the_names_of_every_variant_are_those_of_both_layouts(variant):
    with torch.device("meta"):
        mine = LeViT(LeViTOptions(variant=variant), ImageShape(3, 224, 224)).state_dict()
        peers = timm.create_model(f"levit_{variant}")
    theirs = [name for name in peers.state_dict() if not name.startswith("head")]
    assert [timm_name(name) for name in mine] == theirs
    depths = ARCHITECTURES[variant].depths
    official = [n for n in official_state(peers) if not n.startswith("head") and not n.endswith("_idxs")]
    assert [official_name(name, depths) for name in mine] == official


def test_names_are_the_published_ones():
    depths = (2, 3, 4)
    for mine, official, timms in (
        ("stem.4.bias", "patch_embed.2.bn.bias", "stem.conv2.bn.bias"),
        (
            "stages.0.blocks.1.mlp.down.linear.weight",
            "blocks.3.m.2.c.weight",
            "stages.0.blocks.1.mlp.ln2.linear.weight",
        ),
        (
            "stages.1.shrink.attention.q.norm.bias",
            "blocks.4.q.1.bn.bias",
            "stages.1.downsample.attn_downsample.q.ln.bn.bias",
        ),
        (
            "stages.1.shrink.mlp.up.norm.bias",
            "blocks.5.m.0.bn.bias",
            "stages.1.downsample.mlp.ln1.bn.bias",
        ),
        (
            "stages.2.blocks.3.attention.biases",
            "blocks.20.m.attention_biases",
            "stages.2.blocks.3.attn.attention_biases",
        ),
    ):
        assert (official_name(mine, depths), timm_name(mine)) == (official, timms)


def test_the_weights_of_another_model_are_refused_by_name(tmp_path):
    path = tmp_path / "levit.pth"
    torch.save({"model": official_state(peer())}, path)
    with pytest.raises(UserError, match=r"not the weights.*missing blocks\.\d+.*and \d+ more"):
        ours(path, "128")
    with pytest.raises(UserError, match=r"patch_embed\.0\.c\.weight is \(16, 3, 3, 3\) where the model has \(16, 1"):
        ours(path, bands=1)
    with pytest.raises(UserError, match=r"not the weights of this model.*unexpected patch_embed\.6"):
        ours(path, "128s-s8")
    broken = peer().state_dict()
    broken["stages.0.blocks.0.attn.attention_biases"] = torch.zeros(4, 7)
    torch.save(broken, path)
    with pytest.raises(UserError, match=r"attention_biases is \(4, 7\), no table of a square grid"):
        ours(path)


@pytest.mark.parametrize("name", ["absent.pth", "junk.pth", "junk.safetensors"])
def test_a_file_that_cannot_be_read_is_named(name, tmp_path):
    path = tmp_path / name
    if "absent" not in name:
        path.write_bytes(b"junk")
    with pytest.raises(UserError, match=f"{name}: cannot read weights"):
        ours(path)


def test_nothing_in_a_file_is_executed(tmp_path):
    torch.save({"model": official_state(peer()), "args": pytest.approx}, tmp_path / "code.pth")
    with pytest.raises(UserError, match=r"code\.pth: cannot read weights"):
        ours(tmp_path / "code.pth")


def test_an_absent_file_is_told_before_anything_is_built():
    shape = ImageShape(1, 64, 64)
    options = LeViTOptions(weights="none.pth")
    facts = RunFacts(
        shape=shape, images=8, batch_size=8, micro_batch=8, epochs=1, steps=1, backbone=options.facts(shape)
    )
    assert list(options.check(facts)) == ["weights: no file none.pth"]
    assert list(LeViTOptions().check(facts)) == []


def test_other_weights_make_another_fingerprint(tmp_path):
    prints = {LeViTOptions().fingerprint(), LeViTOptions(weights=str(tmp_path / "levit.pth")).fingerprint()}
    for content in (b"one", b"two", b"two"):
        (tmp_path / "levit.pth").write_bytes(content)
        prints.add(LeViTOptions(weights=str(tmp_path / "levit.pth")).fingerprint())
    assert "" in prints
    assert len(prints) == 4
