"""Images per second: the shards' reader beside webdataset's shuffle-decode-batch pipeline, over the same tars.

    python benchmarks/bench_reader.py [--images 20000] [--side 64] [--repeats 3]

One process, page cache warm, batches of 256. The reader gathers in a global permutation; webdataset shuffles shards and
1000 samples. The figure that matters is the ratio of the medians.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import webdataset
from attrs import frozen

from deeplense_registry.components import DatasetCard, ImageShape, Target
from deeplense_registry.interfaces import Dataset, Sample
from deeplense_registry.shards import ShardSet, batches, build_shards, epoch_order, read_ahead

BATCH = 256


@frozen
class Noise:
    """Opens a source of noise."""

    images: int
    side: int

    def __call__(self) -> Dataset:
        """The open source."""
        return NoiseSource(self)


class NoiseSource(Dataset):
    """Images of noise."""

    def card(self) -> DatasetCard:
        """One band, one target."""
        return DatasetCard(
            name="noise",
            shape=ImageShape(1, self.options.side, self.options.side),
            bands=("r",),
            pixel_scale=0.05,
            targets={"class": Target(classes=("a", "b"))},
            splits={"train": self.options.images},
        )

    def samples(self, split: str, part: int, parts: int) -> Iterator[Sample]:
        """Each from its own seed."""
        side, images = self.options.side, self.options.images
        for number in range(images * part // parts, images * (part + 1) // parts):
            image = np.random.default_rng(number).random((1, side, side), np.float32)
            yield Sample(name=str(number), image=image, targets={"class": number % 2}, meta={"psf": 0.1})


def own(shards: ShardSet, epoch: int, ahead: bool) -> int:
    order = batches(epoch_order(shards.counts("train"), 0, epoch), BATCH)
    seen = 0
    if ahead:
        with read_ahead(lambda index: shards.images("train", index), order) as stream:
            for images in stream:
                seen += len(images)
        return seen
    for index in order:
        seen += len(shards.images("train", index))
    return seen


def library(urls: list[str], epoch: int) -> int:
    dataset = webdataset.WebDataset(urls, shardshuffle=100, seed=epoch).shuffle(1000).decode()
    pipeline = dataset.to_tuple("image.npy", "targets.json").batched(BATCH, partial=False)
    return sum(len(images) for images, _ in pipeline)


def rate(read: Callable[[int], int], repeats: int) -> float:
    read(0)  # warms the page cache and the code
    rates = []
    for epoch in range(1, repeats + 1):
        start = perf_counter()
        seen = read(epoch)
        rates.append(seen / (perf_counter() - start))
    return median(rates)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = Noise(arguments.images, arguments.side)
        start = perf_counter()
        build_shards(source, source().card(), Path(folder), digest="bench", processes=1)
        built = arguments.images / (perf_counter() - start)
        shards = ShardSet.open(folder)
        urls = [str(shards.folder / shard.file) for shard in shards.manifest.splits["train"]]
        theirs = rate(lambda epoch: library(urls, epoch), arguments.repeats)
        rows = [
            ("deeplense, global permutation", rate(lambda epoch: own(shards, epoch, ahead=False), arguments.repeats)),
            ("deeplense, the same read ahead", rate(lambda epoch: own(shards, epoch, ahead=True), arguments.repeats)),
            ("webdataset, shuffle(1000) + decode + batched", theirs),
        ]
    size = sum(shard.bytes for shard in shards.manifest.shards) / 2**20
    print(f"{arguments.images} images {arguments.side}x{arguments.side} float32, {len(urls)} shards, {size:.0f} MiB")
    for name, value in rows:
        print(f"{name:45} {value:>10,.0f} images/s {value / theirs:>7.1f}x")
    print(f"{'building, one process':45} {built:>10,.0f} images/s")


if __name__ == "__main__":
    main()
