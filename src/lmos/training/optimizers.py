"""Which optimiser updates which weight, and how fast.

Muon for the hidden matrices, AdamW for the rest, rates in units of the weights' own size. Knows
modules and parameters; does not know what they learn.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lmos.settings import Rates

_IN_A_LAYER = re.compile(r"\.\d+\.")


def schedule(step: int, num_steps: int, warmup_steps: int) -> float:
    """Learning-rate factor in `(0, 1]`: linear rise, plateau, linear fall to 0.1 from 40 % on."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    decay_start = 0.4 * num_steps
    if step < decay_start:
        return 1.0
    return 1.0 - 0.9 * (step - decay_start) / max(1.0, num_steps - decay_start)


def set_rates(optimizers: Iterable[torch.optim.Optimizer], factor: float) -> None:
    """Bring every rate to `factor` of its peak."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor


def make_optimizers(module: nn.Module, rates: Rates) -> list[torch.optim.Optimizer]:
    """AdamW and, where there are hidden matrices to train, Muon."""
    matrices, groups = [], []
    embedding_size = _embedding_size(module)
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        size = _size(parameter)
        if ".lora_" in name:
            groups.append({"params": [parameter], "lr": rates.lora_learning_rate})
        elif parameter.ndim == 2 and _IN_A_LAYER.search(name):
            matrices.append(parameter)
        elif parameter.ndim == 2:
            rate = rates.embedding_learning_rate * (size or embedding_size)
            groups.append({"params": [parameter], "lr": rate})
        else:
            groups.append({"params": [parameter], "lr": rates.learning_rate * (size or 1.0)})
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, betas=(0.9, 0.95), weight_decay=0.0)
    ]
    if matrices:
        optimizers.append(
            torch.optim.Muon(
                matrices, lr=rates.matrix_learning_rate, weight_decay=rates.weight_decay
            )
        )
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return optimizers


def _embedding_size(module: nn.Module) -> float:
    """Root mean square of the token embeddings, trained or frozen; 1 where there are none."""
    tables = (part.weight for part in module.modules() if isinstance(part, nn.Embedding))
    table = next(tables, None)
    return 1.0 if table is None else _size(table)


def _size(parameter: Tensor) -> float:
    return parameter.detach().float().square().mean().sqrt().item()
