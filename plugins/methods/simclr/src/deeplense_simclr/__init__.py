"""SimCLR (Chen et al. 2020): contrast two views of an image against the rest of the batch."""

from collections.abc import Iterator

from deeplense_registry import Component, hookimpl


@hookimpl
def deeplense_components() -> Iterator[Component]:
    """The method ``simclr``."""
    yield Component(
        kind="method",
        name="simclr",
        api=1,
        factory="deeplense_simclr.method:SimCLR",
        options="deeplense_simclr.options:SimCLROptions",
        summary="Contrast two views of an image against the rest of the batch.",
        reference="arXiv:2002.05709",
    )
