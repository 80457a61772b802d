"""Rows whose passages are read as embeddings, one for a few tokens each.

An embedding is made of two things: the token embeddings of its group, each through a map of its
place in the group (the identity at first, so it begins as their mean), and the mean of the last
states that the model itself has of them, through a map that is zero at first.

Shapes: N tokens of all rows, S embeddings of all rows, K tokens to one, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from recipes.reader.packing import Row


@dataclass(frozen=True)
class Short:
    """A row with embeddings in the place of its passages.

    Attributes:
        row: What is read; its ids are nothing where an embedding stands.
        slots: Where the embeddings stand in it.
        text: Where the tokens stand in the long row that they are made of.
    """

    row: Row
    slots: range
    text: range


def shorten(row: Row, head: int, ratio: int) -> Short:
    """Read every `ratio` tokens of the passages, which begin at `head`, as one embedding."""
    context = sum(each == 0 for each in row.branch)
    num_slots = -(-(context - head) // ratio)
    gone = context - head - num_slots

    def cut(values: Sequence[int], filler: Sequence[int]) -> tuple[int, ...]:
        return (*values[:head], *filler, *values[context:])

    places = range(head, head + num_slots)
    short = replace(
        row,
        ids=cut(row.ids, [0] * num_slots),
        branch=cut(row.branch, [0] * num_slots),
        places=(*range(head + num_slots), *(each - gone for each in row.places[context:])),
        is_said=(*[False] * (head + num_slots), *row.is_said[context:]),
    )
    return Short(short, places, range(head, context))


class Slots(nn.Module):
    """Makes embeddings of tokens.

    Args:
        width: D.
        ratio: K, tokens to an embedding.
    """

    def __init__(self, width: int, ratio: int) -> None:
        super().__init__()
        self.ratio = ratio
        self.place_KDD = nn.Parameter(torch.eye(width).repeat(ratio, 1, 1) / ratio)
        self.state_DD = nn.Parameter(torch.zeros(width, width))
        self.shift_D = nn.Parameter(torch.zeros(width))

    def forward(self, tokens_TD: Tensor, states_TD: Tensor) -> Tensor:
        """Embeddings `(S, D)` of one row's tokens, from their embeddings and their last states."""
        spare = -len(tokens_TD) % self.ratio
        tokens_SKD, states_SKD = (
            nn.functional.pad(x_TD, (0, 0, 0, spare)).view(-1, self.ratio, x_TD.shape[1])
            for x_TD in (tokens_TD, states_TD)
        )
        by_place_SD = torch.einsum("skd,kde->se", tokens_SKD, self.place_KDD)
        result: Tensor = by_place_SD + states_SKD.mean(1) @ self.state_DD + self.shift_D
        return result
