"""VTCC (Ling et al. 2022): contrast two views of an image, and two views of a cluster."""

from collections.abc import Iterator

from deeplense_registry import Component, hookimpl


@hookimpl
def deeplense_components() -> Iterator[Component]:
    """The method ``vtcc``."""
    yield Component(
        kind="method",
        name="vtcc",
        api=1,
        factory="deeplense_vtcc.method:VTCC",
        options="deeplense_vtcc.options:VTCCOptions",
        summary="Contrast two views of an image, and two views of a cluster: clusters without labels.",
        reference="arXiv:2206.12925",
    )
