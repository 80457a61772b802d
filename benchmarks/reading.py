"""Questions read by one and the same model, whatever it is given to read.

Knows prompts, answers and when one is right; does not know how passages are found.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from benchmarks.stores import Place
from lmos.model.base import BaseModel
from lmos.nodes import Hit, NodeId, Span
from lmos.reading.asking import ask_hits
from lmos.reading.generation import prompt_embeddings
from lmos.store import AbstractStore

MAX_ANSWER_TOKENS = 16


@dataclass(frozen=True)
class Asked:
    """A question about a store.

    Attributes:
        question: As a user would ask it.
        answer: What counts as right.
        golds: Everything that must be read to answer.
        outdated: An answer that was right before the fact changed; empty if it never did.
    """

    question: str
    answer: str
    golds: tuple[Place, ...] = ()
    outdated: str = ""


def normalise(answer: str) -> str:
    """Lower case without punctuation and articles, as exact match is usually taken."""
    kept = "".join(mark for mark in answer.lower() if mark not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


def is_right(given: str, wanted: str) -> bool:
    """Exact match after `normalise`."""
    return normalise(given) == normalise(wanted)


def read(model: BaseModel, store: AbstractStore, hits: Sequence[Hit], question: str) -> str:
    """What the model answers after these hits."""
    begun = ask_hits(model, store, hits, question, max_new_tokens=MAX_ANSWER_TOKENS)
    return "".join(begun.stream)


@torch.no_grad()
def answer_loss(
    model: BaseModel, store: AbstractStore, hits: Sequence[Hit], question: str, answer: str
) -> float:
    """Mean negative log-likelihood, in nats a token, of an answer and the end after these hits."""
    prompt_TD = prompt_embeddings(model, store, hits, question)
    ids = model.format.answer_ids(answer)
    ids += [] if model.end_id is None else [model.end_id]
    ids_T = torch.tensor(ids, device=model.device)
    x_TD = torch.cat([prompt_TD, model.embed(ids_T[:-1]).float()])
    hidden_TD = model.forward(x_TD[None])[0, len(prompt_TD) - 1 :]
    return F.cross_entropy(model.logits(hidden_TD).float(), ids_T).item()


def whole_context(store: AbstractStore) -> tuple[Hit, ...]:
    """Every source from its first byte to its last, in time order, as one text each."""
    hits = []
    for source in sorted(store.sources(), key=lambda source: (source.time or 0, source.source_id)):
        (node,) = store.nodes([NodeId(source.source_id, 1, 0)])
        hits.append(Hit(source, node, Span(0, source.num_bytes), True, 0.0, 1.0))
    return tuple(hits)


def fits(model: BaseModel, store: AbstractStore, hits: Sequence[Hit], question: str) -> bool:
    """Whether the model has room for these hits, the question and an answer."""
    num_bytes = sum(hit.byte_span.stop - hit.byte_span.start for hit in hits if hit.is_text)
    if num_bytes > 16 * model.max_positions:
        return False
    prompt_len = len(prompt_embeddings(model, store, hits, question))
    return prompt_len + MAX_ANSWER_TOKENS <= model.max_positions


def is_read(hits: Sequence[Hit], place: Place) -> bool:
    """Whether every byte of a place is among the texts that were read."""
    spans = [hit.byte_span for hit in hits if hit.is_text and hit.source.name == place.source]
    return all(any(s.start <= byte < s.stop for s in spans) for byte in range(*place.span))
