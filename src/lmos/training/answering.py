"""Answering: what the reader is given of a step's leaves, and the loss of what it says.

Knows questions, leaves and their scores; knows neither how trees are built nor what else is
learned.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lmos.model.base import BaseModel
from lmos.model.formats import ReadPassage
from lmos.model.prompts import UNKNOWN_ANSWER
from lmos.training.contexts import Context, GoldQuestion
from lmos.training.losses import CompressionConfig
from lmos.training.routing import LevelNodes, NumberedQuestion
from lmos.training.rows import Row, read_rows

_MAX_GOLDS = 12
_REACH_BYTES = 80
_WRONG_LATENT_SHARE = 0.2


@dataclass(frozen=True)
class _Piece:
    """A leaf as a reading has it; as text, with so many bytes of its sentences around."""

    index: int
    is_gold: bool
    is_embedding: bool
    reach: int


class Answering:
    """The loss of answers to some of a step's questions, read from leaves that the scores bring up.

    Args:
        model: Trained in place.
        config: How many are read, and with what.
    """

    def __init__(self, model: BaseModel, config: CompressionConfig) -> None:
        self._model = model
        self._config = config

    def __call__(
        self,
        rng: random.Random,
        contexts: Sequence[Context],
        vectors_QRK: Tensor,
        leaves: LevelNodes,
        asked: Sequence[NumberedQuestion],
    ) -> tuple[Tensor, dict[str, float]]:
        """Read what the model's own scores bring up, with the gold passage or without it."""
        answerable = [index for index, (_, question) in enumerate(asked) if question.answer]
        chosen = rng.sample(answerable, min(self._config.readings, len(answerable)))
        if not chosen:
            return vectors_QRK.new_zeros(()), {}
        readings = [
            self._reading(rng, contexts, vectors_QRK[index], leaves, *asked[index])
            for index in chosen
        ]
        said = read_rows(self._model, [row for row, _ in readings])
        loss = said.loss()
        metrics = {"answers": loss.item(), "answer_accuracy": said.accuracy()}
        teachers = {number: full for number, (_, full) in enumerate(readings) if full is not None}
        if teachers:
            divergence = said.divergence(teachers, self._model)
            loss = loss + self._config.distill_weight * divergence
            metrics["distillation"] = divergence.item()
        return loss, metrics

    def _reading(
        self,
        rng: random.Random,
        contexts: Sequence[Context],
        vectors_RK: Tensor,
        leaves: LevelNodes,
        context: int,
        question: GoldQuestion,
    ) -> tuple[Row, Row | None]:
        """What the reader is given; and, to learn from, the same with the gold passage as text."""
        gold_GN = leaves.is_gold(context, question.golds)
        with torch.no_grad():
            scores_N = (vectors_RK.float() @ leaves.keys_NK.float().T).amax(0).cpu()
        chosen, is_missed = choose_leaves(rng, scores_N, gold_GN, self._config)
        gold = set(gold_GN.any(0).nonzero()[:, 0].tolist())
        is_latent = rng.random() < self._config.embedding_share
        pieces = [
            _Piece(
                index,
                is_gold=index in gold,
                is_embedding=is_latent if index in gold else rng.random() < _WRONG_LATENT_SHARE,
                reach=0 if is_missed else rng.choice((0, _REACH_BYTES, _REACH_BYTES)),
            )
            for index in sorted(chosen)
        ]
        asked = replace(question, answer=UNKNOWN_ANSWER if is_missed else question.answer)
        row = self._row(contexts, leaves, asked, pieces)
        is_taught = is_latent and self._config.distill_weight > 0
        if not (is_taught and any(piece.is_gold for piece in pieces)):
            return row, None
        opened = [replace(p, is_embedding=p.is_embedding and not p.is_gold) for p in pieces]
        return row, self._row(contexts, leaves, asked, opened)

    def _row(
        self,
        contexts: Sequence[Context],
        leaves: LevelNodes,
        question: GoldQuestion,
        pieces: Sequence[_Piece],
    ) -> Row:
        """The pieces in their order and the question as the reader is asked it, and the answer."""
        prompt = self._model.format
        read = self._passages(contexts, leaves, pieces)
        passages = [passage for passage in read if passage is not None]
        texts = iter(prompt.passage_ids(passages) if passages or not pieces else [])
        row = Row()
        row.add_ids(prompt.head_ids(question.question), is_target=False)
        for piece, passage in zip(pieces, read, strict=True):
            if passage is not None:
                row.add_ids(next(texts), is_target=False)
                continue
            embedding_D = leaves.embeddings_ND[piece.index]
            # A wrong passage must not change so as to be of use to the answer.
            embedding_D = embedding_D if piece.is_gold else embedding_D.detach()
            row.add_embedding(embedding_D + self._model.adapter.level_LD[1])
        for ids in texts:
            row.add_ids(ids, is_target=False)
        row.add_ids(prompt.tail_ids(question.question), is_target=False)
        row.add_ids(prompt.answer_ids(question.answer or UNKNOWN_ANSWER), is_target=True)
        row.end(self._model)
        return row

    def _passages(
        self, contexts: Sequence[Context], leaves: LevelNodes, pieces: Sequence[_Piece]
    ) -> list[ReadPassage | None]:
        """The text of each piece; `None` for those that are read as embeddings.

        What an earlier piece has said already is not said again.
        """
        read_until: dict[int, int] = {}
        passages: list[ReadPassage | None] = []
        for piece in pieces:
            if piece.is_embedding:
                passages.append(None)
                continue
            number = int(leaves.context_N[piece.index])
            span = leaves.sentences(contexts[number], piece.index, piece.reach)
            start = max(span.start, read_until.get(number, 0))
            read_until[number] = max(span.stop, start)
            text = contexts[number].text.encode()[start : span.stop].decode(errors="ignore")
            passages.append(ReadPassage(" ".join(text.split()), source=f"text {number + 1}"))
        return passages


def choose_leaves(
    rng: random.Random,
    scores_N: Float[Tensor, " N"],
    gold_GN: Bool[Tensor, "G N"],
    config: CompressionConfig,
) -> tuple[list[int], bool]:
    """The leaves that are read, and whether a gold passage is missing among them.

    Args:
        rng: Draws how many, and of which kind the reading is.
        scores_N: The model's own, of every leaf.
        gold_GN: Which leaves hold which gold sentence.
        config: Says how often on policy, how often without the gold passage.
    """
    gold = gold_GN.any(0).nonzero()[:, 0].tolist()[-_MAX_GOLDS:]
    count = rng.randint(0, config.distractors)
    if rng.random() < config.on_policy_share:
        found = scores_N.topk(min(count + max(1, len(gold)), len(scores_N))).indices
        is_found_G = gold_GN[:, found].any(1) | ~gold_GN.any(1)
        return found.tolist(), not gold or not bool(is_found_G.all())
    scores_N = scores_N.masked_fill(gold_GN.any(0), -torch.inf)
    wrong = scores_N.topk(min(count, len(scores_N) - 1)).indices.tolist()
    is_missed = rng.random() < config.miss_share
    return (wrong, True) if is_missed else ([*wrong, *gold], False)
