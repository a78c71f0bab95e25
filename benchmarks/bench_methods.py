"""What a method costs beside its backbone: the share of a training step that its own part takes.

    python benchmarks/bench_methods.py [--batch 128] [--threads 1] [--rounds 5]

A step is everything from views to moved weights, on LeViT 128s-s8 at 64 pixels. A method's own part is such a step on a
backbone of the same shapes and the same parameters that computes next to nothing: heads, loss, queue, moving averages,
and the operations of its own on views. A second row gives the published sizes where the lens defaults are smaller. The
floor is the time of that part's matrix products and convolutions alone, at the rate of a large matrix product here: no
implementation of a head of these sizes is faster.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from deeplense_registry import Backbone, BackboneFacts, Features, ImageShape, Method, Progress, RunFacts, Views, build
from deeplense_registry.components import names, scan
from deeplense_registry.engine.gradient import Averaged
from deeplense_registry.engine.optimisation import Optimisation, zero_grad
from deeplense_registry.engine.precision import Precision
from deeplense_registry.engine.world import SingleWorld

SHAPE = ImageShape(1, 64, 64)
STEPS = 100
PUBLISHED: dict[str, dict[str, Any]] = {
    "simsiam": {"dim": 2048, "pred_dim": 512},
    "swav": {"prototypes": 3000, "hidden": 2048},
    "moby": {"hidden": 4096, "queue": 4096},
    "dino": {"out_dim": 65536, "hidden_dim": 2048, "local_crops_number": 8},
    "sit": {"hidden": 4096, "decoder_width": 384},
}
"""Sizes that differ from the defaults for lenses."""


class Idle(Backbone):
    """A backbone whose features depend on nothing but one number: the shapes and the parameters of a real one."""

    def __init__(self, real: Backbone) -> None:
        super().__init__(None, SHAPE)
        self.real, self.width = real, real.width
        self.scale = nn.Parameter(torch.ones(()))
        self.known: dict[tuple[int, ...], Features] = {}

    def forward(self, images: Tensor, *, pose: Tensor | None = None) -> Features:
        """Random features of the right shapes, always the same."""
        shape = tuple(images.shape)
        if shape not in self.known:
            with torch.no_grad():
                small = self.real(torch.randn(2, *shape[1:]))
            noise = Features(
                pooled=torch.randn(shape[0], self.width),
                grid=torch.empty(0),
                pyramid=tuple(torch.randn(shape[0], *grid.shape[1:]) for grid in small.pyramid),
            )
            self.known[shape] = noise
        kept = self.known[shape]
        pyramid = tuple(self.scale * grid for grid in kept.pyramid)
        return Features(pooled=self.scale * kept.pooled, grid=pyramid[-1], pyramid=pyramid)


def levit(*, idle: bool, drop_path: float | None = None) -> Backbone:
    real: Backbone = build("backbone", "levit", {"variant": "128s-s8"}, shape=SHAPE, drop_path=drop_path)
    return Idle(real) if idle else real


class Task:
    """Steps of one method, without reading and without the core's views."""

    def __init__(self, method: str, options: dict[str, Any], batch: int, *, idle: bool) -> None:
        facts = RunFacts(
            shape=SHAPE,
            images=STEPS * batch,
            batch_size=batch,
            micro_batch=batch,
            epochs=1,
            steps=STEPS,
            backbone=BackboneFacts(width=384, min_size=8, grid=(2, 2), batch_norm=True),
        )
        torch.manual_seed(0)
        self.method: Method = build("method", method, options, make_backbone=partial(levit, idle=idle), facts=facts)
        self.method.train()
        self.optimisation = Optimisation(self.method, self.method.lens_recipe, facts)
        self.gradient = Averaged(self.method, SingleWorld(), Precision("cpu", "fp32"), seed=0)
        self.progress = Progress(step=STEPS - 1, steps=STEPS, steps_per_epoch=STEPS)
        self.generator = torch.Generator().manual_seed(0)
        self.plan = self.method.view_plan().views
        self.images = tuple(torch.randn(batch, 1, spec.size or 64, spec.size or 64) for spec in self.plan)

    def __call__(self) -> None:
        """One step, in the order of the trainer's."""
        views = self.views()
        with torch.no_grad():
            self.method.prepare(self.progress, lambda function: function(self.images[0]))
        zero_grad(self.method)
        _, outputs = self.gradient.backward([views], self.progress)
        with torch.no_grad():
            self.method.remember(outputs, SingleWorld(), self.progress)
        self.optimisation.clip()
        self.method.after_backward(self.progress)
        self.optimisation.step(self.progress)
        with torch.no_grad():
            self.method.after_step(self.progress)

    def views(self) -> Views:
        """Noise, through the method's own operations."""
        images, extras = [], []
        for spec, view in zip(self.plan, self.images, strict=True):
            extra: dict[str, Tensor] = {}
            for op in spec.ops:
                view, more = op(view, self.generator)
                extra |= more
            images.append(view)
            extras.append(extra)
        return Views(tuple(images), torch.arange(len(images[0])), tuple(extras))


@frozen
class Row:
    """Seconds of a step, of the method's own part, and of that part's matrix products."""

    step: float
    own: float
    floor: float


def seconds(task: Callable[[], object]) -> float:
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def rate() -> float:
    """Floating-point operations per second of a large matrix product."""
    a, b = torch.randn(1536, 1536), torch.randn(1536, 1536)
    return 2 * 1536**3 / min(seconds(lambda: a @ b) for _ in range(7))


def measure(method: str, options: dict[str, Any], batch: int, rounds: int, peak: float) -> Row:
    """Medians over rounds in which both tasks take turns; the first warms up."""
    whole, own = (Task(method, options, batch, idle=idle) for idle in (False, True))
    own()
    with FlopCounterMode(display=False) as counter:
        own()
    whole()
    step, part = zip(*((seconds(whole), seconds(own)) for _ in range(rounds)), strict=True)
    return Row(median(step), median(part), counter.get_total_flops() / peak)


def show(title: str, row: Row) -> None:
    times = "".join(f"{1e3 * value:10.1f}" for value in (row.step, row.own, row.floor))
    print(f"{title:20s}{times}{row.own / row.step:9.1%}{row.floor / row.step:9.1%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("batch", 128), ("threads", 1), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    peak = rate()
    print(
        f"LeViT 128s-s8, 64 pixels, batch {arguments.batch}, {arguments.threads} threads, {peak / 1e9:.0f} GFLOP/s; ms"
    )
    print(f"{'':20s}{'step':>10s}{'own':>10s}{'floor':>10s}{'own':>9s}{'floor':>9s}")
    for method in names(scan(), "method"):
        show(method, measure(method, {}, arguments.batch, arguments.rounds, peak))
        if method in PUBLISHED:
            options = PUBLISHED[method]
            show("  as published", measure(method, options, arguments.batch, arguments.rounds, peak))


if __name__ == "__main__":
    main()
