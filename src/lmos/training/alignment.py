"""Alignment: the closed-form start of a scorer, before any training.

The queries and keys of a trained layer do not measure likeness. This finds the map between them
under which they do, from a few tokens, so that training does not start from chance. Knows no text.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lmos.model.base import BaseModel
from lmos.tree.keys import query_room

_WEAKEST = 0.1
_SHARPNESS = 20.0
_NUM_PROBES = 2048
_TOKEN_SHARE = 0.1


@torch.no_grad()
def align_scores(model: BaseModel, seed: int = 0) -> None:
    r"""Set the adapter's query map so that a score starts as the likeness of two inputs.

    With queries $q = A^\top x$ and keys $k = B^\top y$ (fitted to single tokens), the map is
    $M = c A^+ (B^+)^\top$, so that $q^\top M k \approx c \, x^\top y$. Directions that the layer
    hardly sees are left out.

    Args:
        model: Its adapter is changed in place.
        seed: Of the tokens that are tried.
    """
    adapter = model.adapter
    generator = torch.Generator().manual_seed(seed)
    ids_N1 = torch.randint(model.vocab_size, (_NUM_PROBES, 1), generator=generator)
    ids_N1 = ids_N1.to(model.device)
    x_N1D = model.embed(ids_N1)
    positions_N1 = torch.full_like(ids_N1, query_room(model))
    mask_N11 = torch.ones_like(ids_N1, dtype=torch.bool)[..., None]
    state = model.attention(x_N1D, mask_N11, positions_N1, model.scoring_layer)
    x_ND = x_N1D[:, 0].float()
    queries_NQ = state.queries_BHTd[:, :, 0].flatten(1).float()
    keys_NK = state.keys_BGTd[:, :, 0].flatten(1).float()
    offset_Q = queries_NQ.mean(0)
    to_queries_DQ = _linear_fit(x_ND, queries_NQ - offset_Q)
    to_keys_DK = _linear_fit(x_ND, keys_NK - keys_NK.mean(0))
    map_QK = torch.linalg.pinv(to_queries_DQ, rtol=_WEAKEST) @ (
        torch.linalg.pinv(to_keys_DK, rtol=_WEAKEST).T
    )
    size = float(adapter.scale) ** 2 * model.embedding_width * state.scaling
    adapter.query_map_RQK.copy_((_SHARPNESS / size) * map_QK.expand_as(adapter.query_map_RQK))
    adapter.query_offset_Q.copy_(offset_Q)
    adapter.retrieval_RD.mul_(_TOKEN_SHARE)


def _linear_fit(x_ND: Tensor, y_NW: Tensor) -> Tensor:
    solution: Tensor = torch.linalg.lstsq(x_ND, y_NW).solution
    return solution
