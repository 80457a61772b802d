"""Rows whose passages are read as embeddings, one for a few tokens each.

An embedding is made of two things: the token embeddings of its group, weighed so that rare ones
count more, each through a map of its place in the group that is the identity at first; and the mean
of the last states that the model itself has of them, through a map that is zero at first. So it
begins near the embedding of the group's rarest token, which a model can read untrained.

Shapes: N tokens of all rows, S embeddings of all rows, K tokens to one, D width.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from recipes.reader.packing import Row


@dataclass(frozen=True)
class Short:
    """A row with embeddings in the place of its passages, or of some groups of their tokens.

    Attributes:
        row: What is read; its ids are nothing where an embedding stands.
        slots: Where the embeddings stand in it.
        groups: Which group of tokens each is made of.
        text: Where the tokens of all groups stand in the long row.
    """

    row: Row
    slots: tuple[int, ...]
    groups: tuple[int, ...]
    text: range


def shorten(row: Row, head: int, ratio: int, kept: Collection[int] = ()) -> Short:
    """Read every `ratio` tokens of the passages as one embedding.

    Args:
        row: A long one.
        head: Where its passages begin.
        ratio: Tokens to a group.
        kept: Groups that are read as the tokens that they are.
    """
    context = sum(each == 0 for each in row.branch)
    ids, slots, groups = list(row.ids[:head]), [], []
    for number, start in enumerate(range(head, context, ratio)):
        if number in kept:
            ids += row.ids[start : min(start + ratio, context)]
        else:
            slots.append(len(ids))
            groups.append(number)
            ids.append(0)
    length = len(ids)
    short = replace(
        row,
        ids=(*ids, *row.ids[context:]),
        branch=(*[0] * length, *row.branch[context:]),
        places=(*range(length), *(each - context + length for each in row.places[context:])),
        is_said=(*[False] * length, *row.is_said[context:]),
    )
    return Short(short, tuple(slots), tuple(groups), range(head, context))


class Slots(nn.Module):
    """Makes embeddings of tokens.

    Args:
        width: D.
        ratio: K, tokens to an embedding.
        sharpness: How much more a rare token of a group counts than a common one, at first.
    """

    def __init__(self, width: int, ratio: int, sharpness: float = 1.0) -> None:
        super().__init__()
        self.ratio = ratio
        self.place_KDD = nn.Parameter(torch.eye(width).repeat(ratio, 1, 1))
        self.state_DD = nn.Parameter(torch.zeros(width, width))
        self.shift_D = nn.Parameter(torch.zeros(width))
        self.weigh_D = nn.Parameter(torch.zeros(width))
        self.sharpness = nn.Parameter(torch.tensor(sharpness))

    def forward(self, ids_T: Tensor, tokens_TD: Tensor, states_TD: Tensor) -> Tensor:
        """Embeddings `(S, D)` of one row's tokens, of their embeddings and their last states.

        Tokens of a vocabulary that was merged from bytes are the rarer the higher their ids.
        """
        spare = -len(tokens_TD) % self.ratio
        tokens_SKD, states_SKD = (
            nn.functional.pad(x_TD, (0, 0, 0, spare)).view(-1, self.ratio, x_TD.shape[1])
            for x_TD in (tokens_TD, states_TD)
        )
        weights_T = self.sharpness * ids_T.log1p() + tokens_TD @ self.weigh_D
        padded_T = nn.functional.pad(weights_T, (0, spare), value=-1e9)
        weights_SK = padded_T.view(-1, self.ratio).softmax(-1)
        by_place_SD = torch.einsum("sk,skd,kde->se", weights_SK, tokens_SKD, self.place_KDD)
        result: Tensor = by_place_SD + states_SKD.mean(1) @ self.state_DD + self.shift_D
        return result
