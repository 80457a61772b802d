"""Devices: which one there is, and the type of numbers that it computes with fast.

Knows no model.
"""

from __future__ import annotations

from typing import Any

import torch

_FAST = ("avx512_bf16", "amx_bf16", "bf16")
"""A processor with one of these multiplies numbers of 16 bits faster than those of 32."""


def best_device() -> str:
    """A GPU if torch sees one, else the processor."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def best_dtype(saved: Any, device: str | torch.device) -> torch.dtype:
    """What to compute with, given what the weights were saved in.

    Weights of 16 bits stay so where the device is fast with them. A processor gets bfloat16 for
    float16, in which it is slow.
    """
    if saved not in (torch.bfloat16, torch.float16):
        return torch.float32
    if torch.device(device).type != "cpu":
        return torch.bfloat16 if saved == torch.bfloat16 else torch.float16
    capabilities = torch.cpu.get_capabilities()
    return torch.bfloat16 if any(capabilities.get(each) for each in _FAST) else torch.float32
