"""Arithmetic of the forward pass, chosen from a table and never by a timing."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from attrs import frozen


@frozen
class Precision:
    """A device and the arithmetic used on it.

    Attributes:
        device: "cpu" or "cuda".
        kind: "fp32" or "bf16" (autocast: matrix products and convolutions in bfloat16, parameters in float32).
    """

    device: str
    kind: str

    def autocast(self) -> AbstractContextManager[Any]:
        """A context for a forward pass."""
        if self.kind == "fp32":
            return nullcontext()
        return torch.autocast(self.device, dtype=torch.bfloat16)


def choose_precision(asked: str, device: str) -> Precision:
    """What ``train.precision`` means on a device: "auto" is bf16 where the hardware multiplies it, else fp32."""
    if asked != "auto":
        return Precision(device, asked)
    return Precision(device, "bf16" if _multiplies_bf16(device) else "fp32")


def choose_device(asked: str) -> str:
    """What ``execute.device`` means here."""
    if asked != "auto":
        return asked
    return "cuda" if torch.cuda.is_available() else "cpu"


def _multiplies_bf16(device: str) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
