"""Views per second on this machine: ours beside lightly's SimCLRTransform, in one run.

    python benchmarks/bench_views.py [--images 128] [--size 64] [--repeats 7] [--threads 2]

Each figure is the median of the repeats, taken in turns. lightly augments RGB photographs one by one;
``policy = "paper"`` is the same kind of recipe on the whole batch, ``policy = "lens"`` what lens images get by default
(rotation, mirror, shift, zoom, noise; one band), and then with PSF, mask and reddening too (three bands). On a machine
that is busy otherwise compare with ``--threads 1``: torch's threads wait for each other, and lightly has but one.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from lightly.transforms import SimCLRTransform
from PIL import Image

from deeplense_registry.components import DatasetCard, ImageShape
from deeplense_registry.interfaces import ViewPlan, ViewSpec
from deeplense_registry.spec.tables import FluxTable, ViewsTable
from deeplense_registry.views import BandStatistics, Pipeline, Scaling

PEER = "lightly SimCLRTransform, PIL RGB"
VIEWS = 2


def ours(images: int, size: int, bands: tuple[str, ...], **table: Any) -> Callable[[], object]:
    card = DatasetCard(
        name="bench",
        shape=ImageShape(len(bands), size, size),
        bands=bands,
        pixel_scale=0.1,
        targets={},
        splits={},
    )
    measured = BandStatistics((0.5,) * len(bands), (0.3,) * len(bands))
    plan = ViewPlan(views=(ViewSpec(),) * VIEWS)
    pipeline = Pipeline(plan, ViewsTable(**table), Scaling(FluxTable(), measured), card, measured)
    generator = torch.Generator().manual_seed(0)
    batch = torch.rand(images, len(bands), size, size, generator=generator)
    return lambda: pipeline(batch, torch.arange(images), {}, generator)


def peer(images: int, size: int) -> Callable[[], object]:
    transform = SimCLRTransform(input_size=size)
    generator = torch.Generator().manual_seed(0)
    pictures = [
        Image.fromarray(torch.randint(256, (size, size, 3), dtype=torch.uint8, generator=generator).numpy())
        for _ in range(images)
    ]
    return lambda: [torch.stack(view) for view in zip(*map(transform, pictures), strict=True)]


def seconds(task: Callable[[], object]) -> float:
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("images", 128), ("size", 64), ("repeats", 7), ("threads", torch.get_num_threads())):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    everything = {"psf": (0.5, 1.5), "mask": (0.0, 0.2), "reddening": (0.0, 0.3)}
    tasks = {
        PEER: peer(args.images, args.size),
        "paper, three bands": ours(args.images, args.size, ("g", "r", "z"), policy="paper"),
        "lens, one band": ours(args.images, args.size, ("g",)),
        "lens with everything, three bands": ours(args.images, args.size, ("g", "r", "z"), **everything),
    }
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    for repeat in range(args.repeats + 1):
        for name, task in tasks.items():
            duration = seconds(task)
            if repeat:  # the first round warms up
                taken[name].append(duration)
    rate = {name: VIEWS * args.images / statistics.median(times) for name, times in taken.items()}
    print(f"{args.images} images of {args.size} x {args.size}, {VIEWS} views, {torch.get_num_threads()} threads")
    for name, value in rate.items():
        print(f"{name:36s} {value:10,.0f} views/s   {value / rate[PEER]:6.1f} x {PEER.split()[0]}")


if __name__ == "__main__":
    main()
