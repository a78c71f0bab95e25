"""MoBY (Xie et al. 2021): predict the key of a slow teacher among a queue of keys."""

from collections.abc import Iterator

from deeplense_registry import Component, hookimpl


@hookimpl
def deeplense_components() -> Iterator[Component]:
    """The method ``moby``."""
    yield Component(
        kind="method",
        name="moby",
        api=1,
        factory="deeplense_moby.method:MoBY",
        options="deeplense_moby.options:MoBYOptions",
        summary="Predict a slow teacher's key of the other view among a queue of earlier keys.",
        reference="arXiv:2105.04553",
    )
