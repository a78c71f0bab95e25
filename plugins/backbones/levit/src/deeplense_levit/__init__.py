"""LeViT (Graham et al. 2021): a convolutional stem and a pyramid of fast attention."""

from collections.abc import Iterator

from deeplense_registry import Component, hookimpl


@hookimpl
def deeplense_components() -> Iterator[Component]:
    """The backbone ``levit``."""
    yield Component(
        kind="backbone",
        name="levit",
        api=1,
        factory="deeplense_levit.backbone:LeViT",
        options="deeplense_levit.options:LeViTOptions",
        summary="A convolutional stem and a pyramid of fast attention with a bias for each distance.",
        reference="arXiv:2104.01136",
    )
