import pytest
import torch
from torch import nn

from deeplense_registry.blocks import Layer, mlp


def test_a_head_is_built_as_described():
    head = mlp(
        6,
        Layer(5, bias=False, norm="affine", activation=nn.ReLU),
        Layer(4, norm="scale", activation=nn.GELU),
        Layer(3, bias=False, norm="plain"),
        Layer(2),
    )
    assert [type(m) for m in head] == [
        *(nn.Linear, nn.BatchNorm1d, nn.ReLU),
        *(nn.Linear, nn.BatchNorm1d, nn.GELU),
        *(nn.Linear, nn.BatchNorm1d),
        nn.Linear,
    ]
    assert list(head.state_dict()) == [
        "0.weight",
        *(f"1.{n}" for n in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")),
        *("3.weight", "3.bias"),
        *(f"4.{n}" for n in ("weight", "running_mean", "running_var", "num_batches_tracked")),
        "6.weight",
        *(f"7.{n}" for n in ("running_mean", "running_var", "num_batches_tracked")),
        *("8.weight", "8.bias"),
    ]
    assert head(torch.randn(7, 6)).shape == (7, 2)


@pytest.mark.parametrize("norm", ["affine", "scale", "plain"])
def test_a_norm_without_gain_or_bias_still_normalises(norm):
    x = torch.randn(64, 3) * 5 + 2
    y = mlp(3, Layer(4, norm=norm))(x)
    torch.testing.assert_close(y.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.std(0, correction=0), torch.ones(4), atol=1e-3, rtol=0)


def test_an_unknown_norm_and_an_empty_layer_are_refused():
    with pytest.raises(ValueError, match="norm"):
        Layer(4, norm="layer")
    with pytest.raises(ValueError, match="width"):
        Layer(0)
