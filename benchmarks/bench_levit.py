"""Speed of LeViT on this machine: a training step beside timm's, and the lens default in two precisions.

    python benchmarks/bench_levit.py [--threads 2] [--rounds 9]

The goal is timm's speed within 5 %, the arithmetic being the same; exit code 1 if it is missed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import timm
import torch
from deeplense_levit.backbone import LeViT
from deeplense_levit.options import LeViTOptions
from torch import Tensor, nn

from benchmarks.networks import SHAPE, both_ways, training_step, turns
from benchmarks.timing import Goal, Rates, line, verdict

GOAL = 0.95


def attention(rounds: int) -> dict[str, Rates]:
    """The first stage of 128s-s8 at 64 pixels: by plain products, and fused.

    The learned bias goes into the fused kernel as a mask that wants a gradient.
    """
    q, k = (torch.randn(64, 4, 64, 16, requires_grad=True) for _ in range(2))
    v, bias = torch.randn(64, 4, 64, 32, requires_grad=True), torch.randn(4, 64, 64, requires_grad=True)
    functions: dict[str, Callable[[], Tensor]] = {
        "plain": lambda: ((q * 0.25) @ k.transpose(-2, -1) + bias).softmax(-1) @ v,
        "fused": lambda: nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=0.25),
    }
    return turns({name: both_ways(function, len(q)) for name, function in functions.items()}, rounds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    few, many = torch.randn(32, 1, 64, 64), torch.randn(256, 1, 64, 64)
    published = LeViT(LeViTOptions(variant="128s"), SHAPE).train()
    peer = timm.create_model("levit_128s", num_classes=0, in_chans=1, img_size=64).train()
    lens = LeViT(LeViTOptions(), SHAPE).train()
    pair = turns(
        {
            "128s, batch 32, fp32": training_step(published, few),
            "timm levit_128s, batch 32, fp32": training_step(peer, few),
        },
        5 * arguments.rounds,
    )
    own = turns(
        {
            "128s-s8, batch 256, fp32": training_step(lens, many),
            "128s-s8, batch 256, bf16": training_step(lens, many, bf16=True),
        },
        arguments.rounds,
    )
    found = {f"attention with a learned bias: {name}": one for name, one in attention(5 * arguments.rounds).items()}
    for name, one in {**pair, **own, **found}.items():
        print(line(name, one))
    ours, theirs = pair.values()
    return verdict([Goal("x timm", ours.over(theirs), GOAL)])


if __name__ == "__main__":
    sys.exit(main())
