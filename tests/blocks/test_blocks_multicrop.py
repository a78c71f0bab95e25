from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import SHAPE, ToyBackbone

from deeplense_registry.blocks.multicrop import encode_views


def crops(sides, count=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(count, 1, *side, generator=generator) for side in sides]


@given(sides=st.lists(st.tuples(st.integers(3, 5), st.integers(3, 5)), min_size=1, max_size=7), count=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_the_views_come_back_in_order_with_one_forward_a_run_of_equal_sizes(sides, count):
    seen = []

    def describe(x):  # a function of one image: its sum and its size
        seen.append(x.shape)
        return torch.stack([x.sum((1, 2, 3)), torch.full((len(x),), float(x.shape[-1]))], dim=1)

    images = crops(sides, count)
    encoded = encode_views(describe, images)
    assert encoded.shape == (count, len(sides), 2)
    for view, image in enumerate(images):
        torch.testing.assert_close(encoded[:, view, 0], image.sum((1, 2, 3)))
        assert (encoded[:, view, 1] == image.shape[-1]).all()
    runs = 1 + sum(a != b for a, b in pairwise(sides))
    assert len(seen) == runs
    assert sum(shape[0] for shape in seen) == count * len(sides)


@pytest.mark.parametrize("norm", [False, True])
def test_a_backbone_gives_its_pooled_features_and_normalises_each_resolution_alone(norm):
    torch.manual_seed(0)
    backbone = ToyBackbone(None, SHAPE, norm=norm)
    images = crops([(8, 8)] * 2 + [(5, 5)] * 3)
    encoded = encode_views(backbone, images)
    large, small = (backbone(torch.cat(images[part])).pooled for part in (slice(0, 2), slice(2, 5)))
    torch.testing.assert_close(encoded.transpose(0, 1).flatten(0, 1), torch.cat([large, small]))
    alone = backbone(images[0]).pooled
    assert torch.allclose(encoded[:, 0], alone, atol=1e-6) != norm  # two views share their statistics
