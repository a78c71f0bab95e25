"""What keeping freed memory saves in a training step, for each backbone of the survey at 64 pixels, batch 128, bf16.

    python benchmarks/bench_allocation.py [--threads 1] [--rounds 3] [--steps 6]

A process keeps the setting it began with, so each round starts one with and one without. Exit code 1 if the
Equivariant Transformer gains less than a tenth, or another backbone loses one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from statistics import median
from typing import Any

import torch

from deeplense_registry import Backbone, ImageShape, build
from deeplense_registry.engine.allocation import keep_freed_memory

SHAPE = ImageShape(1, 64, 64)
BACKBONES: dict[str, dict[str, Any]] = {
    "levit": {"variant": "128s-s8"},
    "cvt": {"variant": "tiny"},
    "equivariant": {"trunk": "cvt", "trunk_options": {"variant": "tiny"}},
}
GOALS = {"levit": 0.9, "cvt": 0.9, "equivariant": 1.1}


def seconds(name: str, steps: int) -> float:
    """The median time of a step, after one that warms up."""
    network: Backbone = build("backbone", name, BACKBONES[name], shape=SHAPE).train()
    images, times = torch.randn(128, 1, 64, 64), []
    for _ in range(steps + 1):
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            pooled = network(images).pooled
        pooled.float().square().mean().backward()
        network.zero_grad()
        times.append(time.perf_counter() - start)
    return median(times[1:])


def elsewhere(name: str, arguments: argparse.Namespace, *, keep: bool) -> float:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--threads", str(arguments.threads), "--steps", str(arguments.steps)]
    printed = subprocess.run([*command, "--one", name, "--keep", str(int(keep))], check=True, capture_output=True)
    return float(printed.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--keep", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.one:
        if arguments.keep and not keep_freed_memory():
            sys.exit("this C library cannot be told")
        print(seconds(arguments.one, arguments.steps))
        return 0
    missed = 0
    for name, goal in GOALS.items():
        pairs = [[elsewhere(name, arguments, keep=keep) for keep in (False, True)] for _ in range(arguments.rounds)]
        ratio = median(freed / kept for freed, kept in pairs)
        ours = median(kept for _, kept in pairs)
        print(f"{name:12s} {1e3 * ours:6.0f} ms a step, {ratio:.2f} times the speed (goal {goal})", flush=True)
        missed += ratio < goal
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
