"""Asking: hits of a store and a question in, an answer in the making out.

Reads the store once, so that the answer can be generated when it is closed. Does not know how the
hits were found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lmos.model.base import BaseModel
from lmos.model.formats import Turn
from lmos.nodes import Hit
from lmos.reading.citations import Passage, read_passages
from lmos.reading.generation import AnswerStream, prompt_embeddings, stream_answer
from lmos.reading.rereading import Reader
from lmos.search.passages import passage_of
from lmos.store import AbstractStore


class Asked(NamedTuple):
    """A question that is being answered.

    Attributes:
        stream: The answer.
        reader: Asks single passages the same.
        passages: What is read, as it is cited.
        num_prompt_tokens: Positions before the first token.
    """

    stream: AnswerStream
    reader: Reader
    passages: tuple[Passage, ...]
    num_prompt_tokens: int


def ask_hits(
    model: BaseModel,
    store: AbstractStore,
    hits: Sequence[Hit],
    question: str,
    turns: Sequence[Turn] = (),
    *,
    max_new_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
) -> Asked:
    """Begin to answer a question from what was found.

    Args:
        model: The one that wrote the store.
        store: Where the hits are from.
        hits: In the order in which they are read.
        question: In its normal form.
        turns: Questions that were asked before, and their answers.
        max_new_tokens: The answer has at most so many tokens.
        temperature: 0 is greedy and deterministic.
        seed: Of the sampling.

    Raises:
        ConfigError: Prompt and answer do not fit the model's positions.
    """
    prompt_TD = prompt_embeddings(model, store, hits, question, turns)
    read = [passage_of(store, hit.source, hit.byte_span) for hit in hits]
    reader = Reader(model, question, turns, read)
    texts = [question, *(passage.words for passage in read)]
    stream = stream_answer(model, prompt_TD, max_new_tokens, temperature, seed, texts)
    return Asked(stream, reader, read_passages(store, hits), len(prompt_TD))
