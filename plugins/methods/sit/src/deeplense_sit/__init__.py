"""SiT (Atito et al. 2021): contrast with a teacher, and reconstruct what was hidden."""

from collections.abc import Iterator

from deeplense_registry import Component, hookimpl


@hookimpl
def deeplense_components() -> Iterator[Component]:
    """The method ``sit``."""
    yield Component(
        kind="method",
        name="sit",
        api=1,
        factory="deeplense_sit.method:SiT",
        options="deeplense_sit.options:SiTOptions",
        summary="Contrast corrupted views with a teacher's clean ones, and reconstruct what was hidden.",
        reference="arXiv:2104.03602",
    )
