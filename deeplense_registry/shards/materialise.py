"""From a dataset of a spec to the folder of its shards, built unless it is there."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from ..components import Row, find, load_factory
from .build import Report, build_shards
from .cache import shards_folder
from .existing import existing
from .manifest import FILE, FORMAT, DType, read_manifest

if TYPE_CHECKING:
    from ..interfaces import Dataset
    from ..spec import Instance


@frozen(eq=False)
class PluginSource:
    """Opens a dataset plugin, in whatever process it is called: plugin and torch are imported there.

    Attributes:
        use: The plugin, as a spec names it.
        options: An instance of its options class.
    """

    use: str
    options: Any

    def __call__(self) -> Dataset:
        """The open source."""
        source: Dataset = load_factory(find("dataset", self.use))(self.options)
        return source


def dataset_source(instance: Instance) -> PluginSource:
    """What opens the source that a spec's dataset names; picklable."""
    return PluginSource(instance.use, instance.options)


def source_digest(instance: Instance, row: Row, dtype: DType) -> str:
    """Names the bytes of the shards: options, plugin and its version, type, layout. 64 hexadecimal digits.

    Options that name files outside the spec define ``fingerprint()``, so that changed files make other shards.
    """
    found = row.found
    parts = [instance.digest, found.distribution, found.name, found.version, dtype, str(FORMAT)]
    if hasattr(instance.options, "fingerprint"):
        parts.append(instance.options.fingerprint())
    return blake2b("\0".join(parts).encode(), digest_size=32).hexdigest()


def materialise(
    instance: Instance,
    *,
    processes: int,
    folder: Path | None = None,
    dtype: DType = "float32",
    progress: Report | None = None,
) -> Path:
    """The folder of the dataset's shards, which are built unless their manifest is there.

    Args:
        instance: The dataset, as the spec names it.
        processes: How many read the source at once.
        folder: Where to; by default in the cache, named by plugin and digest, so that specs share it.
        dtype: Of the images on disk.
        progress: ``progress(done, total)``, samples.

    Raises:
        UserError: As :func:`build_shards` and :func:`~.existing.existing`, and what the plugin refuses.
    """
    if instance.row is None:  # use = "shards"
        return existing(instance.options, processes=processes, folder=folder, dtype=dtype, progress=progress)
    digest = source_digest(instance, instance.row, dtype)
    folder = folder or shards_folder(digest, instance.row.found.name)
    if (folder / FILE).is_file() and read_manifest(folder).digest == digest:
        return folder  # without importing the plugin
    source = dataset_source(instance)
    card = source().card()
    build_shards(source, card, folder, digest=digest, processes=processes, dtype=dtype, progress=progress)
    return folder
