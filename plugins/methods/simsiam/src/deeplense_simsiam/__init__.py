"""SimSiam (Chen & He 2021): one view of an image predicts the other, without negatives and without a teacher."""

from collections.abc import Iterator

from deeplense_registry import Component, hookimpl


@hookimpl
def deeplense_components() -> Iterator[Component]:
    """The method ``simsiam``."""
    yield Component(
        kind="method",
        name="simsiam",
        api=1,
        factory="deeplense_simsiam.method:SimSiam",
        options="deeplense_simsiam.options:SimSiamOptions",
        summary="Predict one view of an image from the other, without negatives.",
        reference="arXiv:2011.10566",
    )
