"""Processes: a training in one or in several of them, through accelerate.

Averages gradients and metrics; every process then takes the same step. Knows nothing of what is
trained.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather_object, reduce
from torch import Tensor

Metrics = Mapping[str, float]


class Processes:
    """The processes of one training; `accelerate launch` or torchrun starts more than one.

    Attributes:
        count: How many there are.
        rank: Number of this one, from 0; number 0 writes the files.
        device: Where this one computes.
    """

    def __init__(self, device: str) -> None:
        """Join the others, if this process was launched with others.

        Args:
            device: `cpu`, or the kind of device of which each process takes its own.
        """
        self.device: str | torch.device
        self.count, self.rank, self.device = 1, 0, device
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            state: Any = PartialState(cpu=device == "cpu")
            self.count, self.rank = state.num_processes, state.process_index
            self.device = state.device

    @property
    def is_first(self) -> bool:
        """Whether this one writes the files."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            PartialState().wait_for_everyone()

    def average_gradients(self, parameters: Sequence[Tensor]) -> None:
        """The mean of every gradient over the processes; a gradient that none has stays `None`."""
        if self.count == 1:
            return
        has = [float(parameter.grad is not None) for parameter in parameters]
        has_any = reduce(torch.tensor(has, device=self.device), "sum").tolist()
        for parameter, is_there in zip(parameters, has_any, strict=True):
            if is_there:
                gradient = parameter.grad if parameter.grad is not None else parameter * 0
                parameter.grad = reduce(gradient.detach(), "mean")

    def gather(self, metrics: Sequence[Metrics]) -> list[Metrics]:
        """The metrics of all processes, in order."""
        return list(metrics) if self.count == 1 else list(gather_object(list(metrics)))


def mean_metrics(rows: Sequence[Metrics]) -> dict[str, float]:
    """The mean of each value over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {
        name: sum(values) / len(values)
        for name in names
        if (values := [row[name] for row in rows if name in row])
    }
