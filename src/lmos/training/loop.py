"""The training loop: an objective in, better weights out. Resumable, logged, seeded.

One loop for every stage. Knows optimisers, schedules, checkpoints and metrics files. Does not
know what is learned: an objective is a function from a step to a loss.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lmos.errors import ConfigError, DataError


@dataclass(frozen=True)
class LoopConfig:
    """How to train, whatever the objective.

    Attributes:
        num_steps: Optimiser steps in all, those before a resume included.
        learning_rate: Peak of the schedule for Adam's parameters (norms, biases, scalars), in
            units of their own root mean square at the start where that is not zero.
        embedding_learning_rate: Peak for embeddings, in the same units; one that starts at zero
            takes the size of the token embeddings.
        matrix_learning_rate: Peak for the hidden matrices, which Muon updates.
        warmup_steps: Linear rise at the start; a linear fall to 10 % follows over the last 60 %.
        weight_decay: Decoupled, on matrices only.
        max_grad_norm: Gradients are clipped to this norm.
        checkpoint_every: Steps between checkpoints.
        seed: Of initialisation and data.
        bf16: Whether the forward runs under bf16 autocast.
    """

    num_steps: int
    learning_rate: float = 3e-3
    embedding_learning_rate: float = 0.03
    matrix_learning_rate: float = 2e-2
    warmup_steps: int = 50
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    checkpoint_every: int = 200
    log_every: int = 10
    seed: int = 0
    bf16: bool = True

    def __post_init__(self) -> None:
        if self.num_steps < 1 or self.warmup_steps < 0 or self.checkpoint_every < 1:
            raise ConfigError("expected num_steps ≥ 1, warmup_steps ≥ 0, checkpoint_every ≥ 1")


Objective = Callable[[int], tuple[Tensor, dict[str, float]]]
"""`step -> (loss, metrics)`: the loss carries gradients, the metrics are for the log."""


def schedule(step: int, config: LoopConfig) -> float:
    """Learning-rate factor in `(0, 1]` at a step: rise, plateau, linear fall to 0.1."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    decay_start = 0.4 * config.num_steps
    if step < decay_start:
        return 1.0
    return 1.0 - 0.9 * (step - decay_start) / max(1.0, config.num_steps - decay_start)


def make_optimizers(module: nn.Module, config: LoopConfig) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices, AdamW for embeddings, norms and learned tokens."""
    matrices, groups = [], []
    embedding_size = 1.0
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter.ndim == 2 and ".layers." in f".{name}":
            matrices.append(parameter)
        else:
            is_embedding = parameter.ndim == 2
            rate = config.embedding_learning_rate if is_embedding else config.learning_rate
            size = parameter.detach().square().mean().sqrt().item()
            if is_embedding and name.endswith("embed_tokens.weight"):
                embedding_size = size
            size = size or (embedding_size if is_embedding else 1.0)
            groups.append({"params": [parameter], "lr": rate * size})
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, betas=(0.9, 0.95), weight_decay=0.0)
    ]
    if matrices:
        optimizers.append(
            torch.optim.Muon(
                matrices, lr=config.matrix_learning_rate, weight_decay=config.weight_decay
            )
        )
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return optimizers


def run_loop(
    module: nn.Module,
    objective: Objective,
    config: LoopConfig,
    folder: Path,
    *,
    state: Any = None,
    on_checkpoint: Callable[[], None] = lambda: None,
) -> None:
    """Train `module` until `config.num_steps`, resuming from `folder` if it holds a checkpoint.

    Args:
        module: Its trainable parameters are updated in place.
        objective: Must draw its data from the step number, so that a resumed run sees what the
            uninterrupted one would have.
        config: Saved beside the checkpoint as `loop.json`.
        folder: Receives `checkpoint.pt`, `metrics.jsonl`, `loop.json`.
        state: An object with `state_dict`/`load_state_dict` (a curriculum), saved too.
        on_checkpoint: Called after each checkpoint.

    Raises:
        DataError: The loss became NaN or infinite; the last checkpoint stays as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    optimizers = make_optimizers(module, config)
    first_step = _resume(folder, module, optimizers, state)
    (folder / "loop.json").write_text(json.dumps(asdict(config), indent=2) + "\n")
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    sums: dict[str, list[float]] = {}
    start = time.perf_counter()
    module.train()
    for step in range(first_step, config.num_steps):
        factor = schedule(step, config)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * factor
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=config.bf16):
            loss, metrics = objective(step)
        if not math.isfinite(loss.item()):
            raise DataError(
                f"the loss of step {step} is {loss.item()}; the last good checkpoint is in "
                f"{folder}. Lower the learning rate and resume."
            )
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        for name, value in (("loss", loss.item()), *metrics.items()):
            sums.setdefault(name, []).append(value)
        if (step + 1) % config.log_every == 0 or step + 1 == config.num_steps:
            row = {name: round(sum(values) / len(values), 4) for name, values in sums.items()}
            _log(
                folder, {"step": step + 1, "seconds": round(time.perf_counter() - start, 1), **row}
            )
            sums = {}
        if (step + 1) % config.checkpoint_every == 0 or step + 1 == config.num_steps:
            _save(folder, step + 1, module, optimizers, state)
            on_checkpoint()
    module.eval()


def _log(folder: Path, row: dict[str, float]) -> None:
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row), flush=True)


def _save(
    folder: Path,
    step: int,
    module: nn.Module,
    optimizers: Iterable[torch.optim.Optimizer],
    state: Any,
) -> None:
    checkpoint = {
        "step": step,
        "module": module.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "state": state.state_dict() if state is not None else None,
    }
    part = folder / "checkpoint.pt.part"
    torch.save(checkpoint, part)
    part.replace(folder / "checkpoint.pt")


def _resume(
    folder: Path, module: nn.Module, optimizers: Iterable[torch.optim.Optimizer], state: Any
) -> int:
    path = folder / "checkpoint.pt"
    if not path.exists():
        return 0
    checkpoint = torch.load(path, weights_only=True)
    module.load_state_dict(checkpoint["module"])
    for optimizer, saved in zip(optimizers, checkpoint["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    if state is not None:
        state.load_state_dict(checkpoint["state"])
    return int(checkpoint["step"])
