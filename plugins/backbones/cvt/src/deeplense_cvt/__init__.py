"""CvT (Wu et al. 2021): a pyramid of attention whose queries, keys and values are convolutions."""

from collections.abc import Iterator

from deeplense_registry import Component, hookimpl


@hookimpl
def deeplense_components() -> Iterator[Component]:
    """The backbone ``cvt``."""
    yield Component(
        kind="backbone",
        name="cvt",
        api=1,
        factory="deeplense_cvt.backbone:CvT",
        options="deeplense_cvt.options:CvTOptions",
        summary="A pyramid of attention whose queries, keys and values are convolutions; no position encoding.",
        reference="arXiv:2103.15808",
    )
