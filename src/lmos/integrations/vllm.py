"""vLLM: requests to its OpenAI-compatible server, with what a store holds for a question.

As text for any model; or as embeddings, if the server runs the base model of the store. Makes the
bodies of requests and sends none. Knows what vLLM documents; needs nothing of it.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lmos.integrations.passages import find_passages
from lmos.reading.generation import prompt_embeddings
from lmos.search.retriever import RetrievalConfig
from lmos.session import Session

_SYSTEM = (
    "Answer the question from the passages. If they do not hold the answer, say that you do not "
    "know. Name the number of the passage that the answer is from."
)


def chat_request(
    session: Session, question: str, model: str, k: int = 5, **options: Any
) -> dict[str, Any]:
    """A body for `/v1/chat/completions`: the passages as numbered text, and the question.

    Args:
        session: Open, for reading at least.
        question: Any question.
        model: Its name on the server.
        k: Most passages.
        **options: More of the body, such as `max_tokens`.
    """
    found = find_passages(session, question, k)
    passages = "\n\n".join(
        f"[{number}] {' › '.join([each.source, *each.headings])}\n{each.text}"
        for number, each in enumerate(found, 1)
    )
    return {
        "model": model,
        "messages": [
            {"role": "system", "content": _SYSTEM},
            {"role": "user", "content": f"Passages:\n{passages or '(none)'}\n\n{question}"},
        ],
        **options,
    }


def embeds_request(
    session: Session,
    question: str,
    model: str,
    config: RetrievalConfig | None = None,
    **options: Any,
) -> dict[str, Any]:
    """A body for `/v1/completions`: the prompt that lmos itself would answer from, as embeddings.

    For a server that was started with `--enable-prompt-embeds` and runs the base model of the
    store. It does not have lmos's LoRA weights for reading unless it was given them.

    Args:
        session: Open, for reading at least.
        question: Any question.
        model: Its name on the server.
        config: How to search; with `max_embeddings`, passages may stay embeddings.
        **options: More of the body, such as `max_tokens`.
    """
    with session.store.snapshot():
        hits = session.retrieve(question, config).hits
        prompt_TD = prompt_embeddings(session.model, session.store, hits, question)
    return {"model": model, "prompt": "", "prompt_embeds": encode_tensor(prompt_TD), **options}


def encode_tensor(embeddings_TD: Float[Tensor, "T D"]) -> str:
    """A tensor as vLLM takes it: what `torch.save` writes, in base64."""
    buffer = io.BytesIO()
    torch.save(embeddings_TD.detach().cpu().contiguous(), buffer)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def decode_tensor(text: str) -> Float[Tensor, "T D"]:
    """The tensor again, as the server reads it."""
    buffer = io.BytesIO(base64.b64decode(text, validate=True))
    tensor: Tensor = torch.load(buffer, weights_only=True, map_location="cpu")
    return tensor
