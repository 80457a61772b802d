"""Routing: which nodes of a step's contexts hold what was asked for, and the loss of missing them.

Knows contexts, questions and the trees that were made; knows neither the model nor what is read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from lmos.nodes import Span
from lmos.store import SourcePatch
from lmos.training.contexts import Context, GoldQuestion
from lmos.tree.excerpts import cut_excerpt

NumberedQuestion = tuple[int, GoldQuestion]
"""The number of a context of the step, and a question about it."""


@dataclass(frozen=True)
class LevelNodes:
    """All nodes of one level of a step's contexts; where they are from stays on the CPU.

    Attributes:
        context_N: The number of the context that each is from.
        start_N: Of its text, in bytes of the context.
        stop_N: Likewise.
        embeddings_ND: As the builder made them.
        keys_NK: As they would be stored.
    """

    context_N: Tensor
    start_N: Tensor
    stop_N: Tensor
    embeddings_ND: Tensor
    keys_NK: Tensor

    def is_gold(self, context: int, golds: Sequence[Span]) -> Bool[Tensor, "G N"]:
        """Which nodes stand for text of which gold sentence."""
        start_G1, stop_G1 = torch.tensor(golds)[:, :, None].unbind(1)
        overlaps_GN = (self.start_N < stop_G1) & (self.stop_N > start_G1)
        return overlaps_GN & (self.context_N == context)

    def sentences(self, context: Context, index: int, reach: int) -> Span:
        """The text of a node and the rest of its sentences, `reach` bytes away at most."""
        text = context.text.encode()
        own = Span(int(self.start_N[index]), int(self.stop_N[index]))
        start = max(0, own.start - reach)
        excerpt = cut_excerpt(text[start : own.stop + reach], start, len(text))
        return excerpt.sentences_around(own)


def gather_nodes(patches: Sequence[SourcePatch], level: int) -> LevelNodes:
    """The nodes of a level, from 0, of every context's tree."""
    parts = [patch.levels[level] for patch in patches]
    context = [number for number, part in enumerate(parts) for _ in part.byte_spans]
    spans = [span for part in parts for span in part.byte_spans]
    return LevelNodes(
        torch.tensor(context, dtype=torch.long),
        torch.tensor([span.start for span in spans], dtype=torch.long),
        torch.tensor([span.stop for span in spans], dtype=torch.long),
        torch.cat([part.embeddings for part in parts]),
        torch.cat([part.keys for part in parts]),
    )


class Routing:
    """InfoNCE at every level: gold nodes against all others of the step and of steps before.

    Args:
        max_keys: Keys of earlier steps that serve as more negatives, for each level.
    """

    def __init__(self, max_keys: int) -> None:
        self._max_keys = max_keys
        self._queues: dict[int, deque[Tensor]] = {}

    def __call__(
        self,
        vectors_QRK: Tensor,
        levels: Sequence[LevelNodes],
        asked: Sequence[NumberedQuestion],
    ) -> tuple[Tensor, dict[str, float]]:
        """The mean over levels, and how often the best node of each is gold."""
        losses, metrics = [], {}
        for number, level in enumerate(levels, 1):
            if len(level.keys_NK) == 0:
                continue
            gold_QGN = _stack([level.is_gold(context, q.golds) for context, q in asked])
            gold_QGN = gold_QGN.to(vectors_QRK.device)
            has_gold_Q = gold_QGN.any(-1).any(-1)
            if not has_gold_Q.any():
                continue
            queue = self._queues.setdefault(number, deque(maxlen=64))
            keys_NK = torch.cat([level.keys_NK, *queue])
            gold_QGN = F.pad(gold_QGN, (0, len(keys_NK) - gold_QGN.shape[2]))[has_gold_Q]
            scores_QRN = vectors_QRK[has_gold_Q].float() @ keys_NK.float().T
            losses.append(info_nce(scores_QRN, gold_QGN))
            best_Q = scores_QRN.detach().amax(1).argmax(1, keepdim=True)
            hits_Q = gold_QGN.any(1).gather(1, best_Q)
            metrics[f"recall_{number}"] = hits_Q.float().mean().item()
            metrics[f"nodes_{number}"] = float(len(keys_NK))
            queue.append(level.keys_NK.detach())
            while sum(map(len, queue)) > self._max_keys:
                queue.popleft()
        return torch.stack(losses).mean(), metrics


def info_nce(
    scores_QRN: Float[Tensor, "Q R N"], gold_QGN: Bool[Tensor, "Q G N"]
) -> Float[Tensor, ""]:
    """How far each gold sentence is from being the only one found, in nats.

    A gold sentence is found by any of its nodes; nodes of the other gold sentences neither help nor
    count against it. Mean over retrieval tokens, gold sentences and questions.

    Args:
        scores_QRN: Of every node for every retrieval token.
        gold_QGN: Nodes of each gold sentence; rows without a node are padding.
    """
    is_any_QN = gold_QGN.any(1)
    log_wrong_QR = scores_QRN.masked_fill(is_any_QN[:, None], -torch.inf).logsumexp(-1)
    is_real_QG = gold_QGN.any(-1)
    # A padded row is given all nodes, so that its gradient is a number; it is left out below.
    members_QGN = gold_QGN | ~is_real_QG[..., None]
    log_gold_QRG = (
        scores_QRN[:, :, None].masked_fill(~members_QGN[:, None], -torch.inf).logsumexp(-1)
    )
    losses_QG = F.softplus(log_wrong_QR[..., None] - log_gold_QRG).mean(1)
    losses_Q = (losses_QG * is_real_QG).sum(1) / is_real_QG.sum(1).clamp(min=1)
    return losses_Q.mean()


def _stack(masks: Sequence[Bool[Tensor, "_ N"]]) -> Bool[Tensor, "Q G N"]:
    longest = max(len(mask_GN) for mask_GN in masks)
    return torch.stack([F.pad(mask_GN, (0, 0, 0, longest - len(mask_GN))) for mask_GN in masks])
