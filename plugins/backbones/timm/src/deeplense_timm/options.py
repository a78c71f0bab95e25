"""The options of the timm backbone.

They tell no facts: widths and grids of some 1,400 models are known only once one is built, and torch is not imported to
check a spec. The engine measures them when the run starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from attrs import frozen, validators

from deeplense_registry import RunFacts, contents_fingerprint, option


@frozen
class TimmOptions:
    """``[backbone.timm]``."""

    model: str = option(
        'Name of an architecture of timm ("resnet50", "convnext_atto", "vit_tiny_patch16_224"), without the tag of '
        "pretrained weights.",
        "resnet18",
        validators.min_len(1),
    )
    small_stem: bool = option(
        "ResNets alone: begin with a 3x3 convolution of stride 2 and no max pool, so that grids have twice the side.",
        True,
    )
    conv_stem: bool = option(
        "Vision transformers alone: patches by 3x3 convolutions of stride 2 with batch norm instead of one large "
        "convolution, which steadies their training (Xiao et al. 2021, arXiv:2106.14881).",
        False,
    )
    drop_path: float = option(
        "Rate of stochastic depth in [0, 1), for models that have it.", 0.0, validators.ge(0.0), validators.lt(1.0)
    )
    weights: str | None = option(
        "A file of weights as timm publishes them for this model; nothing is ever downloaded.", None
    )

    def fingerprint(self) -> str:
        """Changes with the file of weights; empty without one."""
        return contents_fingerprint([Path(self.weights)]) if self.weights else ""

    def check(self, facts: RunFacts) -> Iterator[str]:
        """What is wrong before anything is built."""
        if self.weights is not None and not Path(self.weights).is_file():
            yield f"weights: no file {self.weights}"
