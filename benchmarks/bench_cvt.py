"""Speed of CvT on this machine: a training step beside transformers' CvT, and the lens variants in two precisions.

    python benchmarks/bench_cvt.py [--threads 2] [--rounds 9]

The goal is the speed of transformers within 5 %, the arithmetic being the same; exit code 1 if it is missed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import torch
from deeplense_cvt import layers
from deeplense_cvt.backbone import CvT
from deeplense_cvt.options import ARCHITECTURES, CvTOptions, Variant
from torch import Tensor, nn
from transformers import CvtConfig, CvtModel

from benchmarks.networks import SHAPE, both_ways, training_step, turns
from benchmarks.timing import Goal, Rates, line, verdict

GOAL = 0.95


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


def attention(dtype: torch.dtype, rounds: int) -> dict[str, Rates]:
    """The first stage of tiny-s2 at 64 pixels: by plain products, fused, and as CvT chooses between them."""
    q, k, v = (torch.randn(16, 1, n, 32, dtype=dtype, requires_grad=True) for n in (1024, 256, 256))
    functions: dict[str, Callable[[], Tensor]] = {
        "plain": lambda: ((q * 0.2) @ k.transpose(-2, -1)).softmax(-1) @ v,
        "fused": lambda: nn.functional.scaled_dot_product_attention(q, k, v, scale=0.2),
        "chosen": lambda: layers.attend(q, k, v, 0.2),
    }
    return turns({name: both_ways(function, len(q)) for name, function in functions.items()}, rounds)


def beside_transformers(variant: Variant, images: Tensor, rounds: int) -> Goal:
    """The speed of a variant in that of transformers' network of the same configuration."""
    model = CvT(CvTOptions(variant=variant, act="gelu", drop_path=0.0), SHAPE).train()
    name = f"{variant}, gelu"
    tasks = {name: training_step(model, images), f"{name}, transformers": training_step(peer(variant), images)}
    rates = turns(tasks, rounds)
    tell(rates)
    ours, theirs = rates.values()
    return Goal(f"x transformers ({variant})", ours.over(theirs), GOAL)


def tell(rates: dict[str, Rates]) -> None:
    for name, one in rates.items():
        print(line(name, one))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    images = torch.randn(32, 1, 64, 64)
    goals = [
        beside_transformers("13", images, arguments.rounds),
        beside_transformers("tiny", images, 3 * arguments.rounds),
    ]
    lenses: tuple[Variant, ...] = ("tiny", "tiny-s2")
    models = {variant: CvT(CvTOptions(variant=variant), SHAPE).train() for variant in lenses}
    kinds = {"fp32": False, "bf16": True}
    steps = {
        f"{variant}, {kind}": training_step(model, images, bf16=bf16)
        for variant, model in models.items()
        for kind, bf16 in kinds.items()
    }
    tell(turns(steps, arguments.rounds))
    for dtype in (torch.float32, torch.bfloat16):
        found = attention(dtype, arguments.rounds)
        tell({f"attention, 1024 by 256, {dtype}: {name}": one for name, one in found.items()})
    return verdict(goals)


if __name__ == "__main__":
    sys.exit(main())
