"""Images at rest: shards, their order and how they are read. Torch-free."""

from .build import build_shards
from .cache import cache_root, shards_folder
from .decode import decode_member, refuse_command
from .existing import manifest_at
from .fetch import fetch_shards
from .manifest import Manifest, Shard, Statistics, read_manifest
from .materialise import dataset_source, materialise
from .order import batches, epoch_order, micro_batches, weighted_order
from .readahead import ReadAhead, read_ahead
from .reader import ShardSet
from .subset import Subset
from .verify import damages, verify_shards

__all__ = [
    "Manifest",
    "ReadAhead",
    "Shard",
    "ShardSet",
    "Statistics",
    "Subset",
    "batches",
    "build_shards",
    "cache_root",
    "damages",
    "dataset_source",
    "decode_member",
    "epoch_order",
    "fetch_shards",
    "manifest_at",
    "materialise",
    "micro_batches",
    "read_ahead",
    "read_manifest",
    "refuse_command",
    "shards_folder",
    "verify_shards",
    "weighted_order",
]
