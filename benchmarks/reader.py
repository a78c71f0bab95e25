"""Images per second of one process: the shards' reader beside webdataset, litdata and a plain memmap, in one run.

    python -m benchmarks.reader [--quick] [--images 20000] [--side 64]

Batches of 256 float32 images with their classes, page cache warm. The reader, and the memmap of one ``.npy``, gather
in a global permutation; webdataset reads the same tars, shuffles shards and 1000 samples, decodes and batches; litdata
reads chunks of 32 MB that it wrote itself, shuffled, without worker processes. The reader's first pass over shards
verifies them (checksums of tars and images); later ones do not, and the peers never do: its rate is given beside.

Taken in turns, in seconds of the processor, of all threads. Exit code 1 below 20 times webdataset or 3 times litdata.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
import webdataset
from attrs import frozen

from benchmarks.timing import Goal, Task, line, measure, peer, verdict
from deeplense_registry.components import DatasetCard, ImageShape, Target
from deeplense_registry.interfaces import Dataset, Sample
from deeplense_registry.shards import ShardSet, batches, build_shards, epoch_order, read_ahead
from deeplense_registry.shards.verify import REMEMBERED

BATCH = 256
CHUNK = "32MB"
OURS, AHEAD, FIRST = "deeplense", "deeplense, read ahead by a thread", "deeplense, first pass: verified, then read"
MEMMAP, WEBDATASET, LITDATA = "memmap of one .npy", "webdataset, shuffle + decode + batched", "litdata, shuffle"


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
        images = self.options.images
        for number in range(images * part // parts, images * (part + 1) // parts):
            sample = item(self.options.side, number)
            yield Sample(name=str(number), image=sample["image"], targets={"class": sample["class"]})


def item(side: int, number: int) -> dict[str, Any]:
    """An image of noise and its class."""
    return {"image": np.random.default_rng(number).random((1, side, side), np.float32), "class": number % 2}


class Epochs:
    """The tasks: each call reads the next epoch, in another order, and counts the images."""

    def __init__(self, folder: Path, images: int, side: int) -> None:
        """Write the images in every layout."""
        source = Noise(images, side)
        self.folder, self.epoch = folder, 0
        build_shards(source, source().card(), folder / "shards", digest="bench", processes=1)
        self.shards = ShardSet.open(folder / "shards")
        files = self.shards.manifest.splits["train"]
        self.tars = [str(folder / "shards" / shard.file) for shard in files]
        rows = np.lib.format.open_memmap(folder / "all.npy", "w+", np.float32, (images, 1, side, side))
        for number in range(images):
            rows[number] = item(side, number)["image"]
        self.classes = np.arange(images) % 2

    def order(self) -> Iterator[Any]:
        """Batches of the next epoch's global permutation."""
        self.epoch += 1
        return batches(epoch_order(self.shards.counts("train"), 0, self.epoch), BATCH)

    def own(self) -> int:
        """By offset."""
        classes = self.shards.targets("train", "class")
        return sum(_size(self.shards.images("train", index), classes[index]) for index in self.order())

    def ahead(self) -> int:
        """The same, read ahead as the trainer does."""
        classes = self.shards.targets("train", "class")

        def read(index: Any) -> tuple[Any, Any]:
            return self.shards.images("train", index), classes[index]

        with read_ahead(read, self.order()) as stream:
            return sum(_size(*batch) for batch in stream)

    def first(self) -> int:
        """Opened as if never before."""
        (self.folder / "shards" / REMEMBERED).unlink(missing_ok=True)
        self.shards = ShardSet.open(self.folder / "shards")
        return self.own()

    def memmap(self) -> int:
        """By row."""
        images = np.load(self.folder / "all.npy", mmap_mode="r")
        return sum(_size(images[index], self.classes[index]) for index in self.order())

    def webdataset(self) -> int:
        """As its documentation has it."""
        self.epoch += 1
        stream = webdataset.WebDataset(self.tars, shardshuffle=100, seed=self.epoch).shuffle(1000).decode()
        pipeline = stream.to_tuple("image.npy", "targets.json").batched(BATCH, partial=False)
        return sum(len(images) for images, _ in pipeline)


def _size(images: Any, classes: Any) -> int:
    assert len(images) == len(classes)
    return len(images)


def litdata_task(folder: Path, images: int, side: int) -> Task | None:
    """Epochs of litdata, if it is installed: written by its own ``optimize``."""
    litdata = peer("litdata", "litdata>=0.2.76")
    if litdata is None:
        return None
    logging.disable(logging.WARNING)
    where, epochs = str(folder / "litdata"), iter(range(10**6))
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # it has much to tell
        source = {"fn": partial(item, side), "inputs": list(range(images))}
        litdata.optimize(**source, output_dir=where, chunk_bytes=CHUNK, num_workers=1)

    def task() -> int:
        stream = litdata.StreamingDataset(where, shuffle=True, seed=next(epochs))
        loader = litdata.StreamingDataLoader(stream, batch_size=BATCH, num_workers=0, drop_last=True)
        return sum(_size(batch["image"], batch["class"]) for batch in loader)

    return task


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a quarter of the images, fewer repeats")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--side", type=int, default=64)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    images = arguments.images // 4 if arguments.quick else arguments.images
    with tempfile.TemporaryDirectory() as folder:
        epochs = Epochs(Path(folder), images, arguments.side)
        tasks: dict[str, Task | None] = {OURS: epochs.own, AHEAD: epochs.ahead, MEMMAP: epochs.memmap}
        tasks |= {LITDATA: litdata_task(Path(folder), images, arguments.side), WEBDATASET: epochs.webdataset}
        tasks[FIRST] = epochs.first
        rates = measure({name: task for name, task in tasks.items() if task}, repeats=3 if arguments.quick else 7)
    size = images * 4 * arguments.side**2 / 2**20
    print(f"{images} images {arguments.side} x {arguments.side} float32, {len(epochs.tars)} shards, {size:.0f} MiB")
    for name, one in rates.items():
        print(line(name, one))
    own = rates[OURS]
    return verdict(
        (
            Goal("x webdataset", own.over(rates[WEBDATASET]), 20.0),
            Goal("x litdata", own.over(rates[LITDATA]) if LITDATA in rates else None, 3.0),
            Goal("x memmap", own.over(rates[MEMMAP])),
            Goal("x webdataset in the first, verifying pass", rates[FIRST].over(rates[WEBDATASET])),
        )
    )


if __name__ == "__main__":
    sys.exit(main())
