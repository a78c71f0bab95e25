"""Layer-wise decay of the learning rate, for any backbone."""

from __future__ import annotations

from deeplense_registry import Backbone, ParameterGroup, split_by_decay

LAYERS = 12
"""Layers that a backbone is cut into, whatever its depth (ConvNeXt's number, Liu et al. 2022, arXiv:2201.03545)."""


def layers_of(encoder: Backbone) -> dict[str, int]:
    """The layer of each parameter, 0 (next to the image) to 11, by its name.

    A backbone's parameters come in the order in which its parts are defined, which is that of the forward pass. Its
    weights (parameters of two dimensions or more) are cut into twelve parts of equal number in that order; vectors,
    such as biases and norms, belong with the weight before them. So the ratio between the first and the last layer is
    the same for a shallow network and for a deep one, and no name has to be known.
    """
    weights = sum(parameter.ndim > 1 for parameter in encoder.parameters())
    layers, seen = {}, 0
    for name, parameter in encoder.named_parameters():
        seen += parameter.ndim > 1
        layers[name] = max(seen - 1, 0) * LAYERS // max(weights, 1)
    return layers


def encoder_groups(encoder: Backbone, layer_decay: float) -> list[ParameterGroup]:
    """The encoder's parameters by layer and weight decay; ``scale`` is the part of the head's learning rate.

    Layer l of L has ``layer_decay ** (L - l)`` (Bao et al. 2022, arXiv:2106.08254; Clark et al. 2020, ELECTRA).
    """
    layers, named = layers_of(encoder), dict(encoder.named_parameters())
    groups: list[ParameterGroup] = []
    for layer in sorted(set(layers.values())):
        own = {name: parameter for name, parameter in named.items() if layers[name] == layer}
        scale = layer_decay ** (LAYERS - layer)
        groups += split_by_decay(own, spare=encoder.no_weight_decay(), scale=scale)
    return groups
