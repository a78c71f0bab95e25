"""Simulated strong gravitational lenses, with and without dark-matter substructure."""

from collections.abc import Iterator

from deeplense_registry import Component, hookimpl


@hookimpl
def deeplense_components() -> Iterator[Component]:
    """Declare the simulator."""
    yield Component(
        kind="dataset",
        name="lenses",
        api=1,
        factory="deeplense_lenses.source:LensSimulator",
        options="deeplense_lenses.options:LensesOptions",
        summary="Simulate galaxy-galaxy lenses with axion vortices, cold dark matter subhaloes, or neither.",
        reference="arXiv:1909.07346",
    )
