"""Speed of CvT on this machine: a training step beside transformers' CvT, and the lens variants in two precisions.

python benchmarks/bench_cvt.py [--threads 2] [--rounds 9]

The goal is the speed of transformers within 5 %, the arithmetic being the same; exit code 1 if it is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from statistics import median

import torch
from deeplense_cvt import layers
from deeplense_cvt.backbone import CvT
from deeplense_cvt.options import ARCHITECTURES, CvTOptions, Variant
from torch import Tensor, nn
from transformers import CvtConfig, CvtModel

from deeplense_registry import Features, ImageShape

SHAPE = ImageShape(1, 64, 64)
GOAL = 0.95
Case = tuple[nn.Module, Tensor, bool]


def step(model: nn.Module, images: Tensor, *, bf16: bool) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        out = model(images)
    pooled = out.pooled if isinstance(out, Features) else out.cls_token_value
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


def peer(variant: str) -> nn.Module:
    """The model of transformers in the same configuration."""
    numbers = ARCHITECTURES[variant]
    configure: Callable[..., object] = CvtConfig
    make: Callable[..., nn.Module] = CvtModel
    config = configure(
        num_channels=SHAPE.channels,
        embed_dim=list(numbers.widths),
        num_heads=list(numbers.heads),
        depth=list(numbers.depths),
        drop_path_rate=[0.0, 0.0, 0.0],
    )
    return make(config).train()


def attention(dtype: torch.dtype, rounds: int) -> dict[str, list[float]]:
    """Seconds of forward and backward of the first stage of tiny-s2 at 64 pixels: fused, and by plain products."""
    q, k, v = (torch.randn(16, 1, n, 32, dtype=dtype, requires_grad=True) for n in (1024, 256, 256))

    def plain() -> Tensor:
        return ((q * 0.2) @ k.transpose(-2, -1)).softmax(-1) @ v

    def fused() -> Tensor:
        return nn.functional.scaled_dot_product_attention(q, k, v, scale=0.2)

    def chosen() -> Tensor:
        return layers.attend(q, k, v, 0.2)

    seconds: dict[str, list[float]] = {}
    for _ in range(rounds + 1):
        for function in (plain, fused, chosen):
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
    few = torch.randn(32, 1, 64, 64)
    lenses: tuple[Variant, ...] = ("tiny", "tiny-s2")
    compared: tuple[tuple[Variant, int], ...] = (("13", 1), ("tiny", 3))
    variants = {v: CvT(CvTOptions(variant=v), SHAPE).train() for v in lenses}
    pairs = {
        v: measure(
            {
                f"{v}, gelu": (CvT(CvTOptions(variant=v, act="gelu", drop_path=0.0), SHAPE).train(), few, False),
                f"{v}, gelu, transformers": (peer(v), few, False),
            },
            arguments.rounds * times,
        )
        for v, times in compared
    }
    lens = measure(
        {f"{v}, {'bf16' if bf16 else 'fp32'}": (variants[v], few, bf16) for v in variants for bf16 in (False, True)},
        arguments.rounds,
    )
    for name, times in {k: t for group in (*pairs.values(), lens) for k, t in group.items()}.items():
        print(f"{name:26s} {1e3 * median(times):8.1f} ms {len(few) / median(times):8.0f} images/s")
    for dtype in (torch.float32, torch.bfloat16):
        best = {name: f"{1e3 * min(times):.1f} ms" for name, times in attention(dtype, arguments.rounds).items()}
        print(f"attention of 1024 queries and 256 keys, {dtype}: {best}")
    ratios = {variant: median(b / a for a, b in zip(*group.values(), strict=True)) for variant, group in pairs.items()}
    text = ", ".join(f"{variant} {ratio:.2f}" for variant, ratio in ratios.items())
    print(f"speed relative to transformers: {text} (goal {GOAL})")
    return int(min(ratios.values()) < GOAL)


if __name__ == "__main__":
    sys.exit(main())
