import pytest
import torch
from deeplense_sit.decoder import Decoder, grids_of
from torch import nn
from torch.nn import functional as F
from toys import SHAPE, ToyBackbone

from deeplense_registry import Features, ImageShape, build


def pyramid(*grids, count=2):
    levels = tuple(torch.randn(count, *grid) for grid in grids)
    return Features(pooled=torch.zeros(count, 1), grid=levels[-1], pyramid=levels)


@pytest.mark.parametrize(
    ("shape", "grids"),
    [
        (ImageShape(1, 64, 64), ((8, 8, 8), (12, 4, 4), (16, 2, 2))),
        (ImageShape(3, 64, 96), ((8, 8, 12), (16, 2, 3))),
        (ImageShape(1, 150, 150), ((8, 19, 19), (12, 10, 10), (16, 5, 5))),  # cells of 8 reach beyond the image
        (ImageShape(2, 150, 150), ((8, 9, 9),)),  # cells of 16 leave a rest, as patches do
        (ImageShape(1, 64, 64), ((8, 64, 64), (8, 32, 32))),
        (ImageShape(1, 33, 70), ((4, 1, 2),)),
    ],
)
def test_any_pyramid_gives_images_of_any_size(shape, grids):
    decoder = Decoder(grids, 6, shape)
    image = decoder(pyramid(*grids), (shape.height, shape.width))
    assert image.shape == (2, shape.channels, shape.height, shape.width)
    image.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in decoder.parameters())


def test_the_head_is_the_published_one_on_a_single_grid():
    """Three places-wise linear layers with GELU, then a transposed convolution of a cell."""
    decoder = Decoder(((5, 4, 4),), 7, ImageShape(3, 32, 32))
    assert [type(part) for part in decoder.mixing] == [nn.Conv2d, nn.GELU] * 3
    assert [(c.in_channels, c.out_channels, c.kernel_size) for c in decoder.mixing[::2]] == [(7, 7, (1, 1))] * 3
    assert (decoder.pixels.kernel_size, decoder.pixels.stride, decoder.pixels.out_channels) == ((8, 8), (8, 8), 3)
    features = pyramid((5, 4, 4))
    tokens = features.grid.flatten(2).mT  # (B, 16, 5)
    (lateral,) = decoder.laterals
    for layer in (lateral, *decoder.mixing):
        tokens = (
            F.linear(tokens, layer.weight.flatten(1), layer.bias) if isinstance(layer, nn.Conv2d) else layer(tokens)
        )
    patches = torch.einsum("btd,dcij->btcij", tokens, decoder.pixels.weight).unflatten(1, (4, 4))
    image = patches.permute(0, 3, 1, 4, 2, 5).reshape(2, 3, 32, 32) + decoder.pixels.bias[:, None, None]
    torch.testing.assert_close(decoder(features, (32, 32)), image)


def test_a_cell_makes_the_pixels_at_its_own_place():
    decoder, features = Decoder(((4, 4, 6),), 8, ImageShape(1, 32, 48)), pyramid((4, 4, 6), count=1)
    other = Features(pooled=features.pooled, grid=features.grid.clone())
    other.grid[:, :, 1, 2] += 1.0
    features = Features(pooled=features.pooled, grid=features.grid)  # without a pyramid: the grid alone
    changed = (decoder(features, (32, 48)) != decoder(other, (32, 48)))[0, 0].nonzero()
    assert changed.min(0).values.tolist() == [8, 16]
    assert changed.max(0).values.tolist() == [15, 23]


def test_cells_beyond_the_image_are_cut_and_rests_extended():
    over = Decoder(((4, 3, 3),), 8, ImageShape(1, 22, 22))  # 3 cells of 7
    image = over(pyramid((4, 3, 3)), (22, 22))
    assert torch.equal(image[:, :, 21], image[:, :, 20])
    assert torch.equal(over(features := pyramid((4, 3, 3)), (20, 19)), over(features, (21, 21))[:, :, :20, :19])


@pytest.mark.parametrize("side", [64, 150])
def test_grids_are_read_off_the_backbone_and_leave_no_trace(side):
    shape = ImageShape(1, side, side)
    backbone = build("backbone", "levit", shape=shape)
    state = {name: value.clone() for name, value in backbone.state_dict().items()}
    grids = grids_of(backbone, shape)
    finest = -(-side // 8)
    assert grids == (
        (128, finest, finest),
        (256, -(-side // 16), -(-side // 16)),
        (384, -(-side // 32), -(-side // 32)),
    )
    assert backbone.training
    assert all(torch.equal(value, state[name]) for name, value in backbone.state_dict().items())
    assert all(p.grad is None for p in backbone.parameters())
    assert Decoder(grids, 16, shape)(backbone(torch.zeros(2, 1, side, side)), (side, side)).shape[-2:] == (side, side)


def test_a_backbone_in_evaluation_stays_there():
    backbone = ToyBackbone(None, SHAPE).eval()
    assert grids_of(backbone, SHAPE) == ((6, 8, 8),)
    assert not backbone.training
