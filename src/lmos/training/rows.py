"""Rows: sequences of tokens and embeddings that a model reads, and what of them it learns to say.

Knows the model and its inputs. Does not know where they come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from lmos.model.base import BaseModel
from lmos.model.masks import causal_mask

IGNORE = -100


@dataclass
class Row:
    """One sequence.

    Attributes:
        parts: Token ids, or one embedding at input scale.
        targets: The ids to be said at each position; `IGNORE` where nothing is learned.
    """

    parts: list[list[int] | Tensor] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)

    def add_embedding(self, embedding_D: Tensor) -> None:
        """An embedding, to be read."""
        self.parts.append(embedding_D)
        self.targets.append(IGNORE)

    def add_ids(self, ids: Sequence[int], *, is_target: bool) -> None:
        """Tokens, to be read or also to be said."""
        self.parts.append(list(ids))
        self.targets.extend(ids if is_target else [IGNORE] * len(ids))

    def end(self, model: BaseModel) -> None:
        """The end of what is to be said, if the model has a token for it."""
        if model.end_id is not None:
            self.add_ids([model.end_id], is_target=True)

    def embed(self, model: BaseModel, length: int) -> Tensor:
        """The inputs `(length, D)`, padded with zeros."""
        rows = [
            part[None].float()
            if isinstance(part, Tensor)
            else model.embed(torch.tensor(part, device=model.device))
            for part in self.parts
            if len(part)
        ]
        x_TD = torch.cat(rows)
        return F.pad(x_TD, (0, 0, 0, length - len(x_TD)))


@dataclass(frozen=True)
class Said:
    """What a model says where rows have targets, row by row.

    Attributes:
        logits_NV: Scores of the token at each target.
        targets_N: The token that it is.
        rows_N: The row that it is in.
    """

    logits_NV: Float[Tensor, "N V"]
    targets_N: Int[Tensor, " N"]
    rows_N: Int[Tensor, " N"]

    def loss(self) -> Tensor:
        """Mean cross-entropy of the targets, in nats."""
        return F.cross_entropy(self.logits_NV, self.targets_N)

    def accuracy(self) -> float:
        """Share of rows that are right throughout."""
        wrong = self.rows_N[self.logits_NV.argmax(-1) != self.targets_N]
        return 1 - len(set(wrong.tolist())) / len(set(self.rows_N.tolist()))

    def divergence(self, teachers: Mapping[int, Row], model: BaseModel) -> Tensor:
        """KL divergence from other rows with the same targets, in nats a token.

        Gradients flow to what was said, not to what the teachers say.

        Args:
            teachers: By the number of the row that learns from it; not empty.
            model: Reads the teachers' rows.
        """
        with torch.no_grad():
            expected_NV = read_rows(model, list(teachers.values())).logits_NV.log_softmax(-1)
        learners = torch.tensor(list(teachers), device=self.rows_N.device)
        said_NV = self.logits_NV[torch.isin(self.rows_N, learners)].log_softmax(-1)
        return F.kl_div(said_NV, expected_NV, log_target=True, reduction="batchmean")


def read_rows(model: BaseModel, rows: Sequence[Row]) -> Said:
    """Run rows through the model, causally; logits are made only where there is a target."""
    longest = max(len(row.targets) for row in rows)
    x_BTD = torch.stack([row.embed(model, longest) for row in rows])
    targets_BT = torch.tensor(
        [row.targets + [IGNORE] * (longest - len(row.targets)) for row in rows]
    )
    real_BT = torch.arange(longest) < torch.tensor([[len(row.targets)] for row in rows])
    targets_BT, real_BT = targets_BT.to(x_BTD.device), real_BT.to(x_BTD.device)
    positions_BT = torch.arange(longest, device=x_BTD.device).expand(len(rows), -1)
    hidden_BTD = model.forward(x_BTD, causal_mask(real_BT), positions_BT)[:, :-1]
    is_target_BT = targets_BT[:, 1:] != IGNORE
    return Said(
        model.logits(hidden_BTD[is_target_BT]).float(),
        targets_BT[:, 1:][is_target_BT],
        is_target_BT.nonzero()[:, 0],
    )
