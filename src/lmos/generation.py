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

from lmos.decoding import Chosen
from lmos.model import BaseModel
from lmos.nodes import Hit
from lmos.prompts import (
    UNKNOWN_ANSWER,
    answer_text,
    question_after,
    question_before,
    without_steps,
)
from lmos.store import AbstractStore


def hit_text(store: AbstractStore, hit: Hit) -> str:
    """The text that a hit was opened to, on one line."""
    text = store.text(hit.source.source_id, hit.byte_span).decode("utf-8", errors="replace")
    return " ".join(text.split())


@torch.no_grad()
def prompt_embeddings(
    model: BaseModel, store: AbstractStore, hits: Sequence[Hit], question: str
) -> Float[Tensor, "T D"]:
    """The inputs that an answer follows: the question, every hit in turn, the question again.

    Args:
        model: The one that wrote the store.
        store: Where the hits are from.
        hits: In the order in which the reader shall see them.
        question: As asked.
    """
    parts: list[Tensor] = [_embed_text(model, question_before(question))]
    for hit in hits:
        if hit.is_text:
            text = hit_text(store, hit)
            if text:
                parts.append(_embed_text(model, text + "\n"))
        else:
            level_D = model.adapter.level_LD[hit.node.id.level]
            parts.append(store.embeddings([hit.node.id]).to(level_D) + level_D)
    parts.append(_embed_text(model, question_after(question)))
    return torch.cat([part.float() for part in parts])


class AnswerStream:
    """An answer as it is generated, one line at most: iterate over it once, for its pieces.

    Steps that the model was taught to name before an answer are not among the pieces.

    Attributes:
        log_probabilities: Of the tokens so far, those of the steps too, natural logarithms.
        unknown_log_probability: That of `UNKNOWN_ANSWER` in its place, up to the first token in
            which the two differ.
    """

    def __init__(self, model: BaseModel, tokens: Iterator[Chosen]) -> None:
        self.log_probabilities: list[float] = []
        self.unknown_log_probability = -math.inf
        self._model = model
        self._tokens = tokens
        self._names_steps = model.adapter.names_steps
        self._unknown_ids = model.encode(answer_text(UNKNOWN_ANSWER)).ids

    def __iter__(self) -> Iterator[str]:
        ids: list[int] = []
        shown = ""
        for token in self._tokens:
            ids.append(token.token_id)
            self._note(ids, token)
            text = self._model.decode(ids).lstrip()
            line, newline, _ = text.partition("\n")
            # A character that is cut in two decodes to a replacement mark until its rest comes.
            whole = line if newline else line.rstrip("�")
            if self._names_steps:
                whole = without_steps(whole)
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
) -> AnswerStream:
    """The answer, as it is generated.

    Args:
        model: Base model.
        prompt_TD: From `prompt_embeddings`.
        max_new_tokens: Most tokens of the answer.
        temperature: 0 is greedy and deterministic.
        seed: Of the sampling.

    Raises:
        ConfigError: Prompt and answer do not fit the model's positions.
    """
    stop_ids = [] if model.end_id is None else [model.end_id]
    return AnswerStream(
        model, model.generate(prompt_TD, max_new_tokens, stop_ids, temperature, seed)
    )


def _embed_text(model: BaseModel, text: str) -> Float[Tensor, "T D"]:
    return model.embed(torch.tensor(model.encode(text).ids, device=model.device))
