"""Equivariant Transformer layers (Tai et al. 2019) and D4 averaging before any backbone."""

from collections.abc import Iterator

from deeplense_registry import Component, hookimpl


@hookimpl
def deeplense_components() -> Iterator[Component]:
    """The backbone ``equivariant``."""
    yield Component(
        kind="backbone",
        name="equivariant",
        api=1,
        factory="deeplense_equivariant.backbone:Equivariant",
        options="deeplense_equivariant.options:EquivariantOptions",
        summary="Turns every image into its canonical pose before another backbone sees it; D4 averaging.",
        reference="arXiv:1901.11399",
    )
