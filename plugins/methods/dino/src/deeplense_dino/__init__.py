"""DINO (Caron et al. 2021): a student learns the output of its own moving average, across crops."""

from collections.abc import Iterator

from deeplense_registry import Component, hookimpl


@hookimpl
def deeplense_components() -> Iterator[Component]:
    """The method ``dino``."""
    yield Component(
        kind="method",
        name="dino",
        api=1,
        factory="deeplense_dino.method:DINO",
        options="deeplense_dino.options:DINOOptions",
        summary="Learn the output of a moving-average teacher across crops of an image.",
        reference="arXiv:2104.14294",
    )
