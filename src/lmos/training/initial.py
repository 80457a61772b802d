"""Initial weights: a small Llama that can copy from its context before its first step.

A model finds the way to copy by content, a head that looks one token back and a later head that
looks for what followed the same token before, only after millions of tokens. Both are written
into random weights here, as one head each; everything is trained on from there.

Source: the circuit is the induction head of Olsson et al. (arXiv 2209.11895); to start from weights
that already have the shape of trained ones is mimetic initialisation (arXiv 2305.09828).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lmos.errors import ConfigError

_PREVIOUS_SHARPNESS = 12.0
_MATCH_GAIN = 5.0
_COPY_GAIN = 8.0
_WRITE_GAIN = 2.0
_SLOWEST_SHARE = 0.5
_RANDOM_GAIN = 0.1
_LOGIT_GAIN = 1.0


@torch.no_grad()
def write_induction_heads(module: Any, embedding_std: float = 1.0, seed: int = 0) -> None:
    """Write a previous-token head into layer 0 and an induction head into layer 1.

    Args:
        module: A Llama for causal LM with `attention_bias`; changed in place.
        embedding_std: Standard deviation that the token embeddings get.
        seed: Of the random projections.

    Raises:
        ConfigError: The model has fewer than two layers or no bias in its attention.
    """
    layers = module.model.layers
    if len(layers) < 2 or layers[0].self_attn.q_proj.bias is None:
        raise ConfigError("expected a Llama of two layers or more with attention_bias=true")
    width, head_width = module.config.hidden_size, module.config.head_dim
    embeddings = module.get_input_embeddings().weight
    embeddings.mul_(embedding_std / embeddings.std())
    # Tied embeddings of this size would make every guess a certainty.
    module.model.norm.weight.fill_(_LOGIT_GAIN / (embedding_std * width**0.5))
    for layer in layers:
        # What random heads and neurons write would drown the embeddings.
        layer.self_attn.o_proj.weight.mul_(_RANDOM_GAIN)
        layer.mlp.down_proj.weight.mul_(_RANDOM_GAIN)
    generator = torch.Generator().manual_seed(seed)
    read, write, copy = (_frame(width, head_width, generator) for _ in range(3))
    angles = module.model.rotary_emb.inv_freq.float()
    _write_previous_token_head(
        layers[0].self_attn, read, _WRITE_GAIN * embedding_std * write, angles
    )
    _write_induction_head(layers[1].self_attn, read, write, copy, _COPY_GAIN * embedding_std)


def _frame(width: int, rank: int, generator: torch.Generator) -> Tensor:
    """`rank` random orthonormal rows of `width` numbers."""
    columns: Tensor = torch.linalg.qr(torch.randn(width, rank, generator=generator))[0]
    return columns.T


def _write_previous_token_head(attention: Any, read: Tensor, write: Tensor, angles: Tensor) -> None:
    """Head 0: constant queries and keys whose rotation peaks one position back."""
    rank = len(read)
    for projection in (attention.q_proj, attention.k_proj):
        projection.weight[:rank] = 0
        projection.bias[:rank] = 0
    # <R(p) q, R(p - 1) k> = sum cos(angle * (distance - 1)): the query is turned back by one.
    attention.k_proj.bias[: rank // 2] = _PREVIOUS_SHARPNESS
    attention.q_proj.bias[: rank // 2] = _PREVIOUS_SHARPNESS * torch.cos(-angles)
    attention.q_proj.bias[rank // 2 : rank] = _PREVIOUS_SHARPNESS * torch.sin(-angles)
    attention.v_proj.weight[:rank] = read
    attention.o_proj.weight[:, :rank] = write.T


def _write_induction_head(
    attention: Any, read: Tensor, write: Tensor, copy: Tensor, gain: float
) -> None:
    """Head 0: queries from the current token, keys from what the previous-token head wrote."""
    rank = len(read)
    half = rank // 2
    # Only slowly turning pairs: matching must not depend on the distance.
    slow = torch.zeros(rank)
    first = int(half * (1 - _SLOWEST_SHARE))
    slow[first:half] = slow[half + first :] = 1
    attention.q_proj.weight[:rank] = _MATCH_GAIN * slow[:, None] * read
    attention.k_proj.weight[:rank] = _MATCH_GAIN * slow[:, None] * write
    attention.v_proj.weight[:rank] = copy
    attention.o_proj.weight[:, :rank] = gain * copy.T
