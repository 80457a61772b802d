"""The training loop: an objective in, better weights out. Resumable, logged, seeded.

One loop for every stage, in one process or in several. Does not know what is learned: an objective
is a function from the number of a batch to a loss.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from lmos.errors import ConfigError, DataError
from lmos.settings import CHECKPOINT_EVERY, Rates
from lmos.training.checkpoint import load_checkpoint, save_checkpoint
from lmos.training.optimizers import make_optimizers, schedule, set_rates
from lmos.training.processes import Processes, mean_metrics

METRICS_FILE = "metrics.jsonl"


@dataclass(frozen=True)
class LoopConfig:
    """How to train, whatever the objective.

    Attributes:
        num_steps: Optimiser steps in all, those before a resume included.
        rates: Peaks of the schedule.
        warmup_steps: Linear rise at the start; a linear fall to 10 % follows over the last 60 %.
        batches: Batches of a step, whose losses are averaged; several processes share them.
        max_grad_norm: Gradients are clipped to this norm.
        checkpoint_every: Steps between checkpoints.
        log_every: Steps between rows of metrics, each the mean of its steps.
        seed: Of initialisation and data.
        bf16: Whether the forward runs under bf16 autocast.
    """

    num_steps: int
    rates: Rates = field(default_factory=Rates)
    warmup_steps: int = 50
    batches: int = 1
    max_grad_norm: float = 1.0
    checkpoint_every: int = CHECKPOINT_EVERY
    log_every: int = 10
    seed: int = 0
    bf16: bool = True

    def __post_init__(self) -> None:
        for name, least in (
            ("num_steps", 1),
            ("warmup_steps", 0),
            ("batches", 1),
            ("checkpoint_every", 1),
            ("log_every", 1),
        ):
            if getattr(self, name) < least:
                raise ConfigError(f"{name}: expected at least {least}, got {getattr(self, name)}")


Objective = Callable[[int], tuple[Tensor, dict[str, float]]]
"""`batch -> (loss, metrics)`: the loss carries gradients, the metrics are for the log. Batches are
numbered through; step `n` takes `n * batches` and those after it."""

Progress = Callable[[int, Mapping[str, float]], None]
"""Called after each step with the number of steps done and the metrics of the step."""


@runtime_checkable
class Resumable(Protocol):
    """What a resumed run needs besides weights: a curriculum, a stage."""

    def state_dict(self) -> dict[str, Any]:
        """Its state, in plain values."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""


def run_loop(
    module: nn.Module,
    objective: Objective,
    config: LoopConfig,
    folder: Path,
    *,
    state: Resumable | None = None,
    processes: Processes | None = None,
    on_metrics: Progress = lambda step, metrics: None,
    on_checkpoint: Callable[[], None] = lambda: None,
    progress: Progress = lambda step, metrics: None,
) -> None:
    """Train `module` until `config.num_steps`, resuming from `folder` if it holds a checkpoint.

    Args:
        module: Its trainable parameters are updated in place.
        objective: Must draw its data from the number of the batch, so that a resumed run sees what
            the uninterrupted one would have. Torch's random numbers are seeded for each batch.
        config: What else there is to know.
        folder: Receives `checkpoint.pt` and `metrics.jsonl`.
        state: Saved with the checkpoint.
        processes: This one and its fellows; alone by default.
        on_metrics: Called in every process, with the same values in each.
        on_checkpoint: Called before each checkpoint, in the first process: what it writes is there
            whenever the checkpoint is.
        progress: Called in the first process.

    Raises:
        DataError: A loss or a gradient became NaN or infinite; the last checkpoint stays as it was.
        ConfigError: The processes cannot share the batches of a step evenly.
    """
    device = next(module.parameters()).device
    processes = processes or Processes(device.type)
    if config.batches % processes.count:
        raise ConfigError(
            f"expected batches to be a multiple of the {processes.count} processes, got "
            f"{config.batches}"
        )
    run = _Run(module, config, folder, state)
    first_step = run.resume(processes)
    module.train()
    for step in range(first_step, config.num_steps):
        metrics = run.step(step, objective, processes, device.type)
        on_metrics(step + 1, metrics)
        if processes.is_first:
            run.log(step + 1, metrics)
            progress(step + 1, metrics)
            if (step + 1) % config.checkpoint_every == 0 or step + 1 == config.num_steps:
                on_checkpoint()
                run.save(step + 1)
    processes.wait()
    module.eval()


class _Run:
    """A training between its first and its last step."""

    def __init__(
        self, module: nn.Module, config: LoopConfig, folder: Path, state: Resumable | None
    ) -> None:
        self._config = config
        self._folder = folder
        self._state = state
        self._weights = {
            name: parameter
            for name, parameter in module.named_parameters()
            if parameter.requires_grad
        }
        self._optimizers = make_optimizers(module, config.rates)
        self._rows: list[Mapping[str, float]] = []
        self._start = time.perf_counter()

    def step(
        self, step: int, objective: Objective, processes: Processes, device_type: str
    ) -> dict[str, float]:
        """One update of the weights."""
        config = self._config
        batches = range(step * config.batches, (step + 1) * config.batches)
        set_rates(self._optimizers, schedule(step, config.num_steps, config.warmup_steps))
        rows: list[Mapping[str, float]] = []
        for batch in batches[processes.rank :: processes.count]:
            torch.manual_seed(config.seed * 1_000_003 + batch)
            with torch.autocast(device_type, torch.bfloat16) if config.bf16 else nullcontext():
                loss, metrics = objective(batch)
            (loss * (processes.count / config.batches)).backward()  # type: ignore[no-untyped-call]
            rows.append({"loss": loss.item(), **metrics})
        rows = processes.gather(rows)  # process by process
        parameters = list(self._weights.values())
        processes.average_gradients(parameters)
        norm = nn.utils.clip_grad_norm_(parameters, config.max_grad_norm).item()
        order = [
            batch for rank in range(processes.count) for batch in batches[rank :: processes.count]
        ]
        self._require_numbers(step, order, [row["loss"] for row in rows], norm)
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return mean_metrics(rows)

    def _require_numbers(
        self, step: int, batches: list[int], losses: list[float], norm: float
    ) -> None:
        """Refuse to take a step that would spoil the weights."""
        bad = [number for number, loss in enumerate(losses) if not math.isfinite(loss)]
        if not bad and math.isfinite(norm):
            return
        what = (
            f"the loss of batch {batches[bad[0]]} is {losses[bad[0]]}"
            if bad
            else f"the norm of the gradients of {len(batches)} batches is {norm}"
        )
        raise DataError(
            f"step {step} was not taken: {what}, seed {self._config.seed}. What was learned until "
            f"the last checkpoint is in {self._folder}; train on from its model at lower rates."
        )

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add a row to the metrics file when enough steps are in it."""
        self._rows.append(metrics)
        if step % self._config.log_every and step != self._config.num_steps:
            return
        row = {name: round(value, 4) for name, value in mean_metrics(self._rows).items()}
        seconds = round(time.perf_counter() - self._start, 1)
        with (self._folder / METRICS_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "seconds": seconds, **row}) + "\n")
        self._rows = []

    def save(self, step: int) -> None:
        """Write the checkpoint."""
        checkpoint = {
            "step": step,
            "weights": {name: weight.detach() for name, weight in self._weights.items()},
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "state": None if self._state is None else self._state.state_dict(),
            "metrics": self._rows,
            "seconds": time.perf_counter() - self._start,
        }
        save_checkpoint(self._folder, checkpoint)

    @torch.no_grad()
    def resume(self, processes: Processes) -> int:
        """Take the checkpoint's state, if there is one; the step to go on with."""
        if processes.is_first:
            self._folder.mkdir(parents=True, exist_ok=True)
        checkpoint = load_checkpoint(self._folder)
        step = 0 if checkpoint is None else int(checkpoint["step"])
        if checkpoint is not None:
            self._take(checkpoint)
        if processes.is_first:
            _forget_metrics_after(self._folder / METRICS_FILE, step)
        return step

    def _take(self, checkpoint: dict[str, Any]) -> None:
        found = {name: tuple(weight.shape) for name, weight in checkpoint["weights"].items()}
        expected = {name: tuple(weight.shape) for name, weight in self._weights.items()}
        if found != expected:
            raise DataError(
                f"the checkpoint in {self._folder} is of another model; give the base model that "
                "the run was started with"
            )
        for name, weight in self._weights.items():
            weight.copy_(checkpoint["weights"][name])
        for optimizer, saved in zip(self._optimizers, checkpoint["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        if self._state is not None:
            self._state.load_state_dict(checkpoint["state"])
        self._rows = checkpoint["metrics"]
        self._start -= checkpoint["seconds"]


def _forget_metrics_after(path: Path, step: int) -> None:
    """Drop rows that steps after the checkpoint left behind; these steps are taken again."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if _step_of(line) <= step]
    path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


def _step_of(line: str) -> float:
    """The step of a row; infinite when the row was cut short."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
