"""Embeddings: texts in, the keys out by which a store would find them.

The product of a question's vector with a text's key is what a walk ranks by. Knows the model of the
server; knows no stores.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from torch import Tensor

from lmos.model.base import BaseModel
from lmos.nodes import Span
from lmos.server.access import Allowed
from lmos.server.openai.shapes import EmbeddingsRequest
from lmos.server.problems import Problem
from lmos.server.stores import PROBLEMS
from lmos.session import make_manifest
from lmos.text.normal import readable
from lmos.tree.keys import query_room, query_vectors
from lmos.tree.levels import LevelCompressor

router = APIRouter(prefix="/v1", tags=["openai"], responses=PROBLEMS)
_BATCH = 16


@router.post("/embeddings", operation_id="create_embeddings")
async def create_embeddings(body: EmbeddingsRequest, access: Allowed) -> Response:
    """Keys of texts: of `document` as a leaf of a store would have it, of `query` to compare it.

    Compare them by their dot product; they are not of length one.
    """
    texts = [body.input] if isinstance(body.input, str) else body.input
    for number, text in enumerate(texts):
        if not text.strip():
            raise Problem(
                400, f"input {number} is empty; expected text", code="empty_text", param="input"
            )

    def embed(model: BaseModel) -> tuple[Tensor, int]:
        width = model.node_key_width
        if body.dimensions not in (None, width):
            raise Problem(
                400,
                f"dimensions: this model has {width}, got {body.dimensions}",
                code="unsupported",
                param="dimensions",
            )
        ids = [model.encode(readable(text.strip())).ids for text in texts]
        keys_NK = question_keys(model, ids) if body.input_type == "query" else text_keys(model, ids)
        return keys_NK, sum(map(len, ids))

    keys_NK, num_tokens = await access.serving.compute(lambda models: embed(models.default()))
    return JSONResponse(
        {
            "object": "list",
            "model": access.serving.models.default_name,
            "data": [
                {
                    "object": "embedding",
                    "index": number,
                    "embedding": _encoded(key_K, body.encoding_format),
                }
                for number, key_K in enumerate(keys_NK)
            ],
            "usage": {"prompt_tokens": num_tokens, "total_tokens": num_tokens},
        }
    )


@torch.no_grad()
def text_keys(model: BaseModel, texts: Sequence[Sequence[int]]) -> Tensor:
    """The key of each text as if it were one leaf; the mean of several, if it fills more windows.

    Args:
        model: Base model and adapter.
        texts: Token ids of each.
    """
    manifest = make_manifest(model)
    compressor, room = LevelCompressor(model, manifest), manifest.windows[0]
    pieces = [(row, ids[at : at + room]) for row, ids in enumerate(texts)
              for at in range(0, len(ids), room)]  # fmt: skip
    keys: list[list[Tensor]] = [[] for _ in texts]
    for start in range(0, len(pieces), _BATCH):
        batch = pieces[start : start + _BATCH]
        contents = [(tuple(ids), (Span(0, len(ids)),)) for _, ids in batch]
        for (row, _), nodes in zip(batch, compressor.text(contents), strict=True):
            keys[row].append(nodes.keys_SK[0].float().cpu())
    return torch.stack([torch.stack(mine).mean(0) for mine in keys])


@torch.no_grad()
def question_keys(model: BaseModel, questions: Sequence[Sequence[int]]) -> Tensor:
    """What the keys of texts are multiplied with; the mean over retrieval tokens.

    Args:
        model: Base model and adapter.
        questions: Token ids of each.

    Raises:
        Problem: One is longer than a window for questions.
    """
    room = query_room(model)
    longest = max(map(len, questions))
    if longest > room:
        raise Problem(
            400,
            f"a question has {longest} tokens; expected at most {room}",
            code="bad_question",
            param="input",
        )
    batches = [questions[at : at + _BATCH] for at in range(0, len(questions), _BATCH)]
    layer = model.scoring_layer
    return torch.cat([query_vectors(model, batch, layer).mean(1).cpu() for batch in batches])


def _encoded(key_K: Tensor, encoding: str) -> Any:
    numbers = key_K.float().numpy()
    if encoding == "base64":
        return base64.b64encode(numbers.astype(np.dtype("<f4")).tobytes()).decode()
    return [float(number) for number in numbers]
