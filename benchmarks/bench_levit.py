"""Speed of LeViT on this machine: a training step beside timm's, and the lens default in two precisions.

python benchmarks/bench_levit.py [--threads 2] [--rounds 9]

The goal is timm's speed within 5 %, the arithmetic being the same; exit code 1 if it is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from statistics import median

import timm
import torch
from deeplense_levit.backbone import LeViT
from deeplense_levit.options import LeViTOptions
from torch import Tensor, nn

from deeplense_registry import Features, ImageShape

SHAPE = ImageShape(1, 64, 64)
GOAL = 0.95
Case = tuple[nn.Module, Tensor, bool]


def step(model: nn.Module, images: Tensor, *, bf16: bool) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        out = model(images)
    pooled = out.pooled if isinstance(out, Features) else out
    pooled.float().square().mean().backward()
    model.zero_grad()


def measure(cases: dict[str, Case], rounds: int) -> dict[str, list[float]]:
    """Seconds of each step; the cases take turns, so that a busy machine slows all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, (model, images, bf16) in cases.items():
            start = time.perf_counter()
            step(model, images, bf16=bf16)
            if number:  # the first is a warm-up
                seconds[name].append(time.perf_counter() - start)
    return seconds


def attention(rounds: int) -> dict[str, list[float]]:
    """Seconds of forward and backward of the first stage of 128s-s8 at 64 pixels: fused, and by plain products.

    The learned bias goes into the fused kernel as a mask that wants a gradient.
    """
    q, k = (torch.randn(64, 4, 64, 16, requires_grad=True) for _ in range(2))
    v, bias = torch.randn(64, 4, 64, 32, requires_grad=True), torch.randn(4, 64, 64, requires_grad=True)

    def plain() -> Tensor:
        return ((q * 0.25) @ k.transpose(-2, -1) + bias).softmax(-1) @ v

    def fused() -> Tensor:
        return nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=0.25)

    seconds: dict[str, list[float]] = {}
    for _ in range(rounds + 1):
        for function in (plain, fused):
            start = time.perf_counter()
            torch.autograd.backward(function().sum())
            seconds.setdefault(function.__name__, []).append(time.perf_counter() - start)
    return {name: times[1:] for name, times in seconds.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    published = LeViT(LeViTOptions(variant="128s"), SHAPE).train()
    peer = timm.create_model("levit_128s", num_classes=0, in_chans=1, img_size=64).train()
    lens = LeViT(LeViTOptions(), SHAPE).train()
    few, many = torch.randn(32, 1, 64, 64), torch.randn(256, 1, 64, 64)
    cases: dict[str, Case] = {
        "128s, batch 32, fp32": (published, few, False),
        "timm levit_128s, batch 32, fp32": (peer, few, False),
        "128s-s8, batch 256, fp32": (lens, many, False),
        "128s-s8, batch 256, bf16": (lens, many, True),
    }
    pairs = measure(dict(list(cases.items())[:2]), 5 * arguments.rounds)
    seconds = pairs | measure(dict(list(cases.items())[2:]), arguments.rounds)
    for name, times in seconds.items():
        print(f"{name:34s} {1e3 * median(times):8.1f} ms {len(cases[name][1]) / median(times):8.0f} images/s")
    best = {name: f"{1e3 * min(times):.1f} ms" for name, times in attention(5 * arguments.rounds).items()}
    print(f"attention of 64 positions with a learned bias, batch 64: {best}")
    ours, theirs = list(pairs.values())
    ratio = median(b / a for a, b in zip(ours, theirs, strict=True))
    print(f"speed relative to timm: {ratio:.2f} (goal {GOAL})")
    return int(ratio < GOAL)


if __name__ == "__main__":
    sys.exit(main())
