"""Weights of a file in the layout of the official checkpoints."""

from __future__ import annotations

import re
from pathlib import Path

from torch import nn

from deeplense_registry.blocks.weights_file import assign_weights, read_weights

_OFFICIAL = tuple(
    (re.compile(ours), official)
    for ours, official in (
        (r"^stages\.(\d)\.", r"stage\1."),
        (r"\.cls$", ".cls_token"),
        (r"\.embedding\.conv\.", ".patch_embed.proj."),
        (r"\.embedding\.norm\.", ".patch_embed.norm."),
        (r"\.attention_norm\.", ".norm1."),
        (r"\.mlp_norm\.", ".norm2."),
        (r"\.mlp\.0\.", ".mlp.fc1."),
        (r"\.mlp\.2\.", ".mlp.fc2."),
        (r"\.attention\.(q|k|v)\w+\.conv\.", r".attn.conv_proj_\1.conv."),
        (r"\.attention\.(q|k|v)\w+\.norm\.", r".attn.conv_proj_\1.bn."),
        (r"\.attention\.(q|k|v)\w+\.linear\.", r".attn.proj_\1."),
        (r"\.attention\.proj\.", ".attn.proj."),
    )
)
_HEAD = ("head.weight", "head.bias")  # of the classifier, which a backbone has not


def official_name(name: str) -> str:
    """What a parameter or buffer of ours is called in the official files.

    ``stages.0.blocks.0.attention.query.norm.bias`` becomes ``stage0.blocks.0.attn.conv_proj_q.bn.bias``.
    """
    for pattern, replacement in _OFFICIAL:
        name = pattern.sub(replacement, name)
    return name


def load(model: nn.Module, path: Path) -> None:
    """Give ``model`` the weights of a file; the classifier in it is left out.

    Raises:
        UserError: The file cannot be read, or its names or shapes are not those of the model; the first few are named.
    """
    weights = {name: value for name, value in read_weights(path).items() if name not in _HEAD}
    assign_weights(model, weights, official_name, path)
