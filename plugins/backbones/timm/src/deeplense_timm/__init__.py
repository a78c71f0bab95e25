"""Any model of timm by its name, ResNets with a stem for small images among them."""

from collections.abc import Iterator

from deeplense_registry import Component, hookimpl


@hookimpl
def deeplense_components() -> Iterator[Component]:
    """The backbone ``timm``."""
    yield Component(
        kind="backbone",
        name="timm",
        api=1,
        factory="deeplense_timm.backbone:Timm",
        options="deeplense_timm.options:TimmOptions",
        summary="Any model of timm by its name; ResNets with a stem for small images.",
        reference="doi:10.5281/zenodo.4414861",
    )
