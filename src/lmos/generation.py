"""Generation: what was retrieved and a question in, a stream of text out.

Puts hits in front of the question, as text or as embeddings, in the order they came. Reads texts
and embeddings of a store; does not know how they were chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from lmos.model import BaseModel
from lmos.nodes import Hit
from lmos.prompts import question_after, question_before
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
            parts.append(store.embeddings([hit.node.id]).float() + level_D)
    parts.append(_embed_text(model, question_after(question)))
    return torch.cat([part.float() for part in parts])


def stream_answer(
    model: BaseModel,
    prompt_TD: Float[Tensor, "T D"],
    max_new_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
) -> Iterator[str]:
    """Pieces of the answer, as they are generated; one line at most.

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
    token_ids = model.generate(prompt_TD, max_new_tokens, stop_ids, temperature, seed)
    return _iter_pieces(model, token_ids)


def _iter_pieces(model: BaseModel, token_ids: Iterator[int]) -> Iterator[str]:
    """The first line of what the tokens say, piece by piece."""
    ids: list[int] = []
    shown = ""
    for token_id in token_ids:
        ids.append(token_id)
        text = model.decode(ids).lstrip()
        line, newline, _ = text.partition("\n")
        # A character that is cut in two decodes to a replacement mark until its rest comes.
        whole = line if newline else line.rstrip("�")
        if len(whole) > len(shown):
            yield whole[len(shown) :]
            shown = whole
        if newline:
            return


def _embed_text(model: BaseModel, text: str) -> Float[Tensor, "T D"]:
    return model.embed(torch.tensor(model.encode(text).ids, device=model.device))
