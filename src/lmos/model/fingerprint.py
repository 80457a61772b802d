"""SHA-256 of weights, whatever files they came in.

Knows tensors and their names. Knows neither models nor files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor


def hash_tensors(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> str:
    """SHA-256, in hex, over names, shapes and values rounded to `dtype`, in order of the names.

    Rounding to bfloat16 gives a model the same hash in whichever precision it was loaded.
    """
    names = sorted(tensors)
    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(lambda name: _digest(tensors[name], dtype), names))
    total = hashlib.sha256()
    for name, digest in zip(names, digests, strict=True):
        total.update(f"{name} {tuple(tensors[name].shape)} ".encode() + digest)
    return total.hexdigest()


def _digest(tensor: Tensor, dtype: torch.dtype) -> bytes:
    values = tensor.detach().to("cpu", dtype).contiguous().reshape(-1)
    return hashlib.sha256(values.view(torch.uint8).numpy().data).digest()
