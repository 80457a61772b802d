"""Generation: what was retrieved and a question in, a stream of text out.

Puts hits in front of the question, as text or as embeddings, in the order they came. Reads texts
and embeddings of a store; does not know how they were chosen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from lmos.model.base import BaseModel
from lmos.model.decoding import Chosen
from lmos.model.formats import Turn
from lmos.model.prompts import UNKNOWN_ANSWER
from lmos.nodes import Hit
from lmos.reading.copying import CopiedWords
from lmos.search.passages import passage_of
from lmos.store import AbstractStore


@torch.no_grad()
def prompt_embeddings(
    model: BaseModel,
    store: AbstractStore,
    hits: Sequence[Hit],
    question: str,
    turns: Sequence[Turn] = (),
) -> Float[Tensor, "T D"]:
    """What an answer follows, in the model's own format: every hit in turn, and the question.

    Args:
        model: The one that wrote the store.
        store: Where the hits are from.
        hits: In the order in which the reader sees them.
        question: As asked.
        turns: Questions that were asked before, and their answers.
    """
    prompt = model.format
    passages = [passage_of(store, hit.source, hit.byte_span) for hit in hits if hit.is_text]
    pieces = iter(prompt.passage_ids(passages) if passages or not hits else [])
    parts: list[Tensor] = [embed_ids(model, prompt.head_ids(question))]
    for hit in hits:
        if hit.is_text:
            parts.append(embed_ids(model, next(pieces)))
        else:
            level_D = model.adapter.level_LD[hit.node.id.level]
            parts.append(store.embeddings([hit.node.id]).to(level_D) + level_D)
    parts += [embed_ids(model, piece) for piece in pieces]
    parts.append(embed_ids(model, prompt.tail_ids(question, turns)))
    return torch.cat([part.float() for part in parts])


class AnswerStream:
    """An answer as it is generated: iterate over it once, for its pieces.

    Attributes:
        log_probabilities: Of the tokens so far, natural logarithms.
        unknown_log_probability: That of `UNKNOWN_ANSWER` in its place, up to the first token in
            which the two differ.
    """

    def __init__(self, model: BaseModel, tokens: Iterator[Chosen]) -> None:
        self.log_probabilities: list[float] = []
        self.unknown_log_probability = -math.inf
        self._model = model
        self._tokens = tokens
        self._is_one_line = model.format.is_one_line
        self._unknown_ids = tuple(model.format.answer_ids(UNKNOWN_ANSWER))

    def __iter__(self) -> Iterator[str]:
        ids: list[int] = []
        shown = ""
        for token in self._tokens:
            ids.append(token.token_id)
            self._note(ids, token)
            text = self._model.decode(ids).lstrip()
            line, newline, _ = text.partition("\n") if self._is_one_line else (text, "", "")
            # A character that is cut in two decodes to a replacement mark until its rest comes.
            whole = line if newline else line.rstrip("�")
            if len(whole) > len(shown):
                yield whole[len(shown) :]
                shown = whole
            if newline:
                return

    def _note(self, ids: Sequence[int], token: Chosen) -> None:
        place = len(ids) - 1
        if tuple(ids[:-1]) == self._unknown_ids[:place] and place < len(self._unknown_ids):
            log_probability = float(token.log_probabilities_V[self._unknown_ids[place]])
            self.unknown_log_probability = sum(self.log_probabilities) + log_probability
        self.log_probabilities.append(float(token.log_probabilities_V[token.token_id]))


def stream_answer(
    model: BaseModel,
    prompt_TD: Float[Tensor, "T D"],
    max_new_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
    texts: Sequence[str] = (),
) -> AnswerStream:
    """The answer, as it is generated.

    Args:
        model: Base model.
        prompt_TD: From `prompt_embeddings`.
        max_new_tokens: The answer has at most so many tokens.
        temperature: 0 is greedy and deterministic.
        seed: Of the sampling.
        texts: What was read: without a temperature, words of the answer are rather spelt as there.

    Raises:
        ConfigError: Prompt and answer do not fit the model's positions.
    """
    stop_ids = model.format.stop_ids
    copied = CopiedWords(model.decode, stop_ids, texts) if texts and not temperature else None
    return AnswerStream(
        model, model.generate(prompt_TD, max_new_tokens, stop_ids, temperature, seed, copied)
    )


def embed_ids(model: BaseModel, ids: Sequence[int]) -> Float[Tensor, "T D"]:
    """Token ids as the model reads them."""
    return model.embed(torch.tensor(list(ids), dtype=torch.long, device=model.device))
