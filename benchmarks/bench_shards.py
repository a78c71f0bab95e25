"""100,000 images go to shards and through an epoch of the reader: images per second, and memory.

    python benchmarks/bench_shards.py [--images 100000] [--side 64] [--quick]

Each stage runs in a process of its own; its peak is that of RssAnon, which pixels that are mapped do not count to (they
live in the page cache, and the system takes it back). "Imports" is what the process had before the stage, torch mostly.
The same at a tenth of the images shows what grows: the index (some 100 bytes an image), and nothing with the pixels.
Exits with 1 where a peak grows by more than 32 MiB.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from time import perf_counter

import numpy as np
from attrs import frozen

from deeplense_registry.components import DatasetCard, ImageShape, Target, derive_seed
from deeplense_registry.interfaces import Dataset, Sample
from deeplense_registry.shards import ShardSet, batches, build_shards, epoch_order, read_ahead

BATCH = 256
POOL = 1000
LARGEST_GROWTH = 32 * 2**20


@frozen
class Noise:
    """Opens a source of noise that costs next to nothing, so that what is timed is the writing."""

    images: int
    side: int

    def __call__(self) -> Dataset:
        """The open source."""
        return NoiseSource(self)


class NoiseSource(Dataset):
    """Images are windows of one row of noise, so that they cost nothing."""

    def card(self) -> DatasetCard:
        """One band, a class and a quantity."""
        return DatasetCard(
            name="noise",
            shape=ImageShape(1, self.options.side, self.options.side),
            bands=("r",),
            pixel_scale=0.05,
            targets={"class": Target(classes=("a", "b")), "theta_e": Target(unit="arcsec")},
            splits={"train": self.options.images},
        )

    def samples(self, split: str, part: int, parts: int) -> Iterator[Sample]:
        """Image n begins at pixel n of the row, and again at its beginning after a thousand."""
        side, images = self.options.side, self.options.images
        row = np.random.default_rng(derive_seed("noise", split)).random(POOL + side * side, np.float32)
        for number in range(images * part // parts, images * (part + 1) // parts):
            image = row[number % POOL :][: side * side].reshape(1, side, side)
            targets = {"class": number % 2, "theta_e": 1.5}
            yield Sample(name=str(number), image=image, targets=targets, meta={"psf": 0.1})


def anonymous() -> int:
    """RssAnon of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


class Watch(Thread):
    """The peak of RssAnon while a stage runs."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.before = self.peak = anonymous()
        self.done = Event()

    def run(self) -> None:
        """Look twenty times a second."""
        while not self.done.wait(0.05):
            self.peak = max(self.peak, anonymous())

    def stop(self) -> int:
        """The peak so far."""
        self.done.set()
        return max(self.peak, anonymous())


def build(folder: Path, images: int, side: int) -> None:
    source = Noise(images, side)
    build_shards(source, source().card(), folder, digest="bench", processes=1)


def read(folder: Path, images: int, side: int) -> None:
    """An epoch in a global permutation, read ahead as the trainer does; every image once."""
    shards = ShardSet.open(folder, verify=False)
    order = epoch_order(shards.counts("train"), 0, 0)
    seen = 0
    with read_ahead(lambda index: shards.images("train", index), batches(order, BATCH)) as stream:
        for batch in stream:
            seen += len(batch)
    assert seen == images // BATCH * BATCH


def verify(folder: Path, images: int, side: int) -> None:
    """What the first opening does: every shard hashed, every image's checksum compared."""
    assert ShardSet.open(folder).count("train") == images


STAGES = {"build": build, "verify": verify, "read": read}


def stage(name: str, folder: Path, images: int, side: int) -> None:
    watch = Watch()
    watch.start()
    start = perf_counter()
    STAGES[name](folder, images, side)
    print(perf_counter() - start, watch.before, watch.stop())


def measure(name: str, folder: Path, images: int, side: int) -> tuple[float, int, int]:
    """Images per second, and bytes before it and at its peak, of a stage in a process of its own."""
    command = [sys.executable, __file__, "--stage", name, "--folder", str(folder)]
    told = subprocess.run(
        [*command, "--images", str(images), "--side", str(side)], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.split()
    return images / float(told[0]), int(told[1]), int(told[2])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--quick", action="store_true", help="a tenth of the images")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage:
        stage(arguments.stage, arguments.folder, arguments.images, arguments.side)
        return 0
    images = arguments.images // 10 if arguments.quick else arguments.images
    few, pixels = images // 10, 4 * arguments.side**2
    print(f"{images} images {arguments.side}x{arguments.side} float32, {images * pixels / 2**20:.0f} MiB of pixels")
    worst = 0
    with tempfile.TemporaryDirectory() as root:
        for name in STAGES:
            _, imports, small = measure(name, Path(root) / "few", few, arguments.side)
            rate, _, large = measure(name, Path(root) / "many", images, arguments.side)
            worst = max(worst, large - small)
            parts = f"{imports / 2**20:.0f} MiB of it imports; {small / 2**20:.0f} MiB with {few} images"
            print(f"{name:7} {rate:>9,.0f} images/s, peak RssAnon {large / 2**20:.0f} MiB ({parts})")
    more = pixels * (images - few) / 2**20
    print(f"growth: {worst / 2**20:.1f} MiB at most, for {more:.0f} MiB more pixels; goal below {LARGEST_GROWTH >> 20}")
    return 0 if worst < LARGEST_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
