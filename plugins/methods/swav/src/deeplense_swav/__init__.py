"""SwAV (Caron et al. 2020): predict the balanced cluster of one view from another."""

from collections.abc import Iterator

from deeplense_registry import Component, hookimpl


@hookimpl
def deeplense_components() -> Iterator[Component]:
    """The method ``swav``."""
    yield Component(
        kind="method",
        name="swav",
        api=1,
        factory="deeplense_swav.method:SwAV",
        options="deeplense_swav.options:SwAVOptions",
        summary="Predict the cluster of one view from another, the clusters kept in balance.",
        reference="arXiv:2006.09882",
    )
