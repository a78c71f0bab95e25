"""Images of surveys: FITS cut-outs with a catalogue, and HDF5 stacks."""

from collections.abc import Iterator

from deeplense_registry import Component, hookimpl


@hookimpl
def deeplense_components() -> Iterator[Component]:
    """Declare the reader of survey images."""
    yield Component(
        kind="dataset",
        name="surveys",
        api=1,
        factory="deeplense_surveys.source:SurveyImages",
        options="deeplense_surveys.options:SurveysOptions",
        summary="Read FITS cut-outs with a catalogue, or HDF5 stacks of images (SDSS, MultimodalUniverse).",
    )
