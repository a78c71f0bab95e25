"""Embedding images from shards, beside the encoder's forward pass alone: images per second, and memory.

    python benchmarks/bench_embed.py [--images 100000] [--side 64] [--quick]

An untrained LeViT (``128s-s8``) embeds 64x64 images of noise as ``deeplense embed`` does: read from shards ahead of
their use, checked, scaled, embedded, gathered. Its peer is the network alone on batches of the same size that are in
memory and scaled already. The two take turns, and each round embeds other images. Exits with 1 below 0.9 of the peer's
rate in seconds of the processor, of all threads; the ratio by the clock on the wall, which sees waits for the disk and
whatever else the machine does, is told beside it.

Memory is the growth of RssAnon over a call that embeds all images, in a process of its own: pixels that are mapped do
not count to it. The same at a quarter of the images shows what grows: the embeddings themselves, and nothing with the
pixels. The network of this part only averages, to embeddings of LeViT's width: activations come and go, tens of MiB
from one look to the next, which hides what is looked for. Exits with 1 if anything else grows by more than 32 MiB.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from benchmarks.bench_shards import Noise, Watch
from benchmarks.timing import Goal, Rates, Task, line, verdict
from deeplense_registry import Backbone, Features, ImageShape, build
from deeplense_registry.engine import Encoder
from deeplense_registry.engine.session import BATCH
from deeplense_registry.engine.use import Stack, embed_stack, first, stack_of
from deeplense_registry.shards import ShardSet, build_shards
from deeplense_registry.spec import FluxTable
from deeplense_registry.views import Scaling

ROUND = 4 * BATCH
LARGEST_GROWTH = 32 * 2**20
FORWARD, EMBED = "the network alone, batches in memory", "embed_stack, from shards"


class Averages(Backbone):
    """384 averages over patches, scaled: a network that leaves memory alone."""

    width = 384

    def __init__(self, options: None, shape: ImageShape) -> None:
        """No options."""
        super().__init__(options, shape)
        self.scale = nn.Parameter(torch.ones(self.width))

    def forward(self, images: Tensor, *, pose: Tensor | None = None) -> Features:
        """Their features."""
        grid = adaptive_avg_pool2d(images, (16, 24))
        return Features(grid.flatten(1) * self.scale, grid)


def levit(shape: ImageShape) -> Backbone:
    """The network whose speed is measured, untrained."""
    torch.manual_seed(0)
    return build("backbone", "levit", {"variant": "128s-s8"}, shape=shape)


class Work:
    """The tasks of a round: the same number of images, embedded from shards or out of memory."""

    def __init__(self, folder: Path, backbone: Backbone) -> None:
        """Open the shards."""
        shards = ShardSet.open(folder, verify=False)
        self.images = stack_of(shards, "train")
        self.encoder = Encoder(backbone, Scaling(FluxTable(), shards.statistics), {}).eval()
        self.done = 0

    def scaled(self, count: int) -> list[torch.Tensor]:
        """The first batches, as the network takes them."""
        index = np.arange(count * BATCH).reshape(count, BATCH)
        return [self.encoder.scaling(torch.from_numpy(self.images.read(part))) for part in index]

    def embed(self) -> int:
        """The next images."""
        start, whole = self.done % (len(self.images) - ROUND + 1), self.images
        part = Stack(whole.names[start : start + ROUND], lambda index: whole.read(index + start), whole.where)
        self.done += ROUND
        return len(embed_stack(self.encoder, part))


def rates_of(tasks: dict[str, Task], repeats: int) -> list[dict[str, Rates]]:
    """By the processor's clock and by that on the wall, of the same calls; the tasks take turns."""
    clocks = (time.process_time, time.perf_counter)
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in tasks}
    for _ in range(repeats + 1):
        for name, task in tasks.items():
            start = [clock() for clock in clocks]
            images = task()
            cpu, wall = (images / (clock() - begin) for clock, begin in zip(clocks, start, strict=True))
            seen[name].append((cpu, wall))
    return [
        {name: Rates(both[0][at], tuple(one[at] for one in both[1:])) for name, both in seen.items()} for at in (0, 1)
    ]


def speed(folder: Path, side: int, repeats: int) -> list[Goal]:
    work = Work(folder, levit(ImageShape(1, side, side)))
    batches = work.scaled(ROUND // BATCH)

    def forward() -> int:
        with torch.no_grad():
            return sum(len(work.encoder.backbone(batch).pooled) for batch in batches)

    cpu, wall = rates_of({FORWARD: forward, EMBED: work.embed}, repeats)
    for name in cpu:
        print(line(name, cpu[name]))
        print(line("  by the clock on the wall", wall[name]))
    return [
        Goal("% of the network's rate alone", 100 * cpu[EMBED].over(cpu[FORWARD]), 90.0),
        Goal("% by the clock on the wall", 100 * wall[EMBED].over(wall[FORWARD])),
    ]


def stage(folder: Path, side: int) -> None:
    """Embed everything, and print the growth of RssAnon and the bytes of the embeddings."""
    work = Work(folder, Averages(None, ImageShape(1, side, side)))
    embed_stack(work.encoder, first(work.images, ROUND))  # what the first batches allocate is no growth
    watch = Watch()
    watch.start()
    vectors = embed_stack(work.encoder, work.images)
    print(watch.stop() - watch.before, vectors.nbytes)


def growth(folder: Path, side: int) -> tuple[int, int]:
    command = [sys.executable, __file__, "--stage", str(folder), "--side", str(side)]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return int(told[0]), int(told[1])


def other_growth(folders: list[Path], images: list[int], side: int) -> int:
    """Bytes by which memory grows with the images, beside their embeddings."""
    grown = []
    for folder, count in zip(folders, images, strict=True):
        more, size = growth(folder, side)
        grown.append(more - size)
        print(f"{count:>7} images: RssAnon grows by {more / 2**20:.0f} MiB, embeddings are {size / 2**20:.0f} MiB")
    other, pixels = grown[1] - grown[0], 4 * side**2 * (images[1] - images[0])
    told = f"beside the embeddings: {other / 2**20:+.1f} MiB for {pixels / 2**20:.0f} MiB more pixels"
    print(f"{told}; goal below {LARGEST_GROWTH >> 20}")
    return other


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--quick", action="store_true", help="a tenth of the images, fewer rounds")
    parser.add_argument("--stage", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage:
        stage(arguments.stage, arguments.side)
        return 0
    many = arguments.images // 10 if arguments.quick else arguments.images
    images = [many // 4, many]
    with tempfile.TemporaryDirectory() as root:
        folders = [Path(root) / str(count) for count in images]
        for folder, count in zip(folders, images, strict=True):
            source = Noise(count, arguments.side)
            build_shards(source, source().card(), folder, digest="bench", processes=1)
        too_much = other_growth(folders, images, arguments.side) > LARGEST_GROWTH
        return max(verdict(speed(folders[1], arguments.side, 5 if arguments.quick else 15)), int(too_much))


if __name__ == "__main__":
    sys.exit(main())
