"""Keys: what a node is found by, and the vectors of a question that they are multiplied with.

Both come from the base model itself. Knows neither stores nor which nodes are kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from lmos.model.base import BaseModel
from lmos.model.heads import RetrievalHeads, pad_questions
from lmos.model.masks import causal_mask

MAX_QUERY_LEN = 256


def query_room(model: BaseModel) -> int:
    """A question has at most so many tokens.

    Its last token stands just before this position, so that the retrieval tokens, and the nodes
    that they are compared with, always stand at it.
    """
    return min(MAX_QUERY_LEN, model.max_positions // 2)


def node_keys(
    model: BaseModel, nodes_ND: Float[Tensor, "N D"], level: int, layer: int
) -> Float[Tensor, "N K"]:
    """Attention keys of nodes that see nobody: each alone in the window, at the retrieval position.

    Independent of the question, so they can be stored. Gradients flow.

    Source: arXiv 2409.01495, retriever. Where we differ: there the candidates see each other and
    the retrieval tokens, so that every question costs a forward over all candidates.

    Args:
        model: Base model and adapter.
        nodes_ND: Embeddings of one level.
        level: Their level, from 1.
        layer: The scoring layer.
    """
    x_N1D = (nodes_ND + model.adapter.level_LD[level])[:, None]
    device = nodes_ND.device
    positions_N1 = torch.full((len(nodes_ND), 1), query_room(model), device=device)
    mask_N11 = torch.ones(len(nodes_ND), 1, 1, dtype=torch.bool, device=device)
    state = model.attention(x_N1D, mask_N11, positions_N1, layer)
    return state.keys_BGTd[:, :, 0].flatten(1)


def retrieval_inputs(
    model: BaseModel, queries: Sequence[Sequence[int]]
) -> tuple[Tensor, Tensor, Tensor]:
    """`[padding; question; retrieval tokens]` of a batch: `(x_BTD, mask_BTT, positions_BT)`.

    A retrieval token starts from a mean of the question's embeddings, as a compression token does
    from that of its span, plus a learned embedding of its own; the mean's weights are learned.

    Source: arXiv 2409.01495, retriever. Where we differ: there it is the learned embedding alone.
    """
    num_tokens = model.adapter.retrieval_RD.shape[0]
    longest = max(len(query) for query in queries)
    ids_BT = torch.zeros(len(queries), longest, dtype=torch.long)
    real_BT = torch.ones(len(queries), longest + num_tokens, dtype=torch.bool)
    for row, query in enumerate(queries):
        ids_BT[row, longest - len(query) :] = torch.tensor(query, dtype=torch.long)
        real_BT[row, : longest - len(query)] = False
    device, adapter = model.device, model.adapter
    question_BTD, real_BT = model.embed(ids_BT.to(device)), real_BT.to(device)
    looks_BRT = adapter.pool_RD @ question_BTD.float().transpose(1, 2)
    looks_BRT = looks_BRT / model.embedding_width**0.5
    weights_BRT = looks_BRT.masked_fill(~real_BT[:, None, :longest], -torch.inf).softmax(-1)
    means_BRD = adapter.to_input_scale(weights_BRT @ question_BTD.float())
    x_BTD = torch.cat([question_BTD, means_BRD + adapter.retrieval_RD], dim=1)
    room = query_room(model)
    positions_T = torch.arange(room - longest, room + num_tokens, device=device).clamp(max=room)
    return x_BTD, causal_mask(real_BT), positions_T.expand(len(queries), -1)


def query_vectors(
    model: BaseModel, queries: Sequence[Sequence[int]], layer: int
) -> Float[Tensor, "B R K"]:
    """What a stored key is multiplied with: one vector a retrieval token. Gradients flow.

    Args:
        model: Base model and adapter.
        queries: Token ids of each question, at most `query_room`.
        layer: The scoring layer; layers above it are not run. With retrieval heads none is.
    """
    if model.adapter.heads is not None:
        return _head_queries(model, model.adapter.heads, queries)
    x_BTD, mask_BTT, positions_BT = retrieval_inputs(model, queries)
    state = model.attention(x_BTD, mask_BTT, positions_BT, layer)
    num_tokens = model.adapter.retrieval_RD.shape[0]
    queries_BRQ = state.queries_BHTd[:, :, -num_tokens:].transpose(1, 2).flatten(2)
    centred_BRQ = queries_BRQ.float() - model.adapter.query_offset_Q
    vectors_BRK = torch.einsum("brq,rqk->brk", centred_BRQ, model.adapter.query_map_RQK)
    return vectors_BRK * (state.scaling * model.adapter.log_temperature.exp())


def _head_queries(
    model: BaseModel, heads: RetrievalHeads, queries: Sequence[Sequence[int]]
) -> Float[Tensor, "B 1 K"]:
    ids_BT, real_BT = (part.to(model.device) for part in pad_questions(queries))
    return heads.queries(model.embed(ids_BT), ids_BT, real_BT)[:, None]
