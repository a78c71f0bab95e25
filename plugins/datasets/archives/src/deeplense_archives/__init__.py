"""The published DeepLense archives, read as they are."""

from collections.abc import Iterator

from deeplense_registry import Component, hookimpl


@hookimpl
def deeplense_components() -> Iterator[Component]:
    """Declare the archives."""
    yield Component(
        kind="dataset",
        name="archives",
        api=1,
        factory="deeplense_archives.source:Archives",
        options="deeplense_archives.options:ArchivesOptions",
        summary="Read the published DeepLense archives (Models I to IV, lens finding, real lenses) as they are.",
        reference="arXiv:1909.07346",
    )
