"""Packing: samples of several tasks side by side in rows, each blind to the others.

Knows token ids; knows neither what they say nor who reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lmos.model.masks import PADDING, segmented_mask
from lmos.training.rows import IGNORE

TASKS = ("text", "copy", "recall", "facts", "passages", "stories", "episodes")


@dataclass
class Sample:
    """Token ids of one task; `targets` is `IGNORE` where nothing is learned."""

    ids: list[int]
    targets: list[int]
    task: str


@dataclass
class PackedRows:
    """A batch: samples side by side in rows; each sees itself alone and counts from position 0."""

    ids_BT: Tensor
    targets_BT: Tensor
    tasks_BT: Tensor
    positions_BT: Tensor
    mask_BTT: Tensor

    def to(self, device: torch.device) -> PackedRows:
        """The same on another device."""
        return PackedRows(**{name: part.to(device) for name, part in vars(self).items()})


def pack(batch: Sequence[Sequence[Sample]], window: int) -> PackedRows:
    """Rows of `window` tokens, one for each list of samples; what is too long is cut."""
    ids_BT = torch.zeros(len(batch), window, dtype=torch.long)
    targets_BT = torch.full_like(ids_BT, IGNORE)
    tasks_BT = torch.full_like(ids_BT, len(TASKS))
    samples_BT = torch.full_like(ids_BT, PADDING)
    positions_BT = torch.zeros_like(ids_BT)
    for row, samples in enumerate(batch):
        start = 0
        for number, sample in enumerate(samples):
            length = min(window - start, len(sample.ids))
            place = slice(start, start + length)
            ids_BT[row, place] = torch.tensor(sample.ids[:length])
            # The first token follows another sample: nobody can know it.
            targets_BT[row, place] = torch.tensor([IGNORE, *sample.targets[1:length]])
            tasks_BT[row, place] = TASKS.index(sample.task)
            samples_BT[row, place] = number
            positions_BT[row, place] = torch.arange(length)
            start += length
    mask_BTT = segmented_mask(samples_BT, 0, "strict")
    return PackedRows(ids_BT, targets_BT, tasks_BT, positions_BT, mask_BTT)
