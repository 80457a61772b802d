"""Initial weights: a small Llama that can copy from its context before its first step.

A model finds the way to copy by content, a head that looks one token back and a later head that
looks for what followed the same token before, only after millions of tokens. Both are written
into random weights here, everything is trained on from there. A second pair of heads looks two
tokens back, so that what follows "1 8" is told from what follows "8 8".

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
    """Write two previous-token heads into layer 0 and two induction heads into layer 1.

    Args:
        module: A Llama for causal LM with `attention_bias`; changed in place.
        embedding_std: Standard deviation that the token embeddings get.
        seed: Of the random projections.

    Raises:
        ConfigError: The model has fewer than two layers, no bias in its attention, or is not as
            wide as four heads.
    """
    layers = module.model.layers
    if len(layers) < 2 or layers[0].self_attn.q_proj.bias is None:
        raise ConfigError("expected a Llama of two layers or more with attention_bias=true")
    width, head_width = module.config.hidden_size, module.config.head_dim
    if width < 4 * head_width:
        raise ConfigError(f"expected a width of at least {4 * head_width}, four heads, got {width}")
    embeddings = module.get_input_embeddings().weight
    embeddings.mul_(embedding_std / embeddings.std())
    # Tied embeddings of this size would make every guess a certainty.
    module.model.norm.weight.fill_(_LOGIT_GAIN / (embedding_std * width**0.5))
    for layer in layers:
        # What random heads and neurons write would drown the embeddings.
        layer.self_attn.o_proj.weight.mul_(_RANDOM_GAIN)
        layer.mlp.down_proj.weight.mul_(_RANDOM_GAIN)
    generator = torch.Generator().manual_seed(seed)
    read, one_back, two_back, copy = frames(width, head_width, 4, generator)
    angles = module.model.rotary_emb.inv_freq.float()
    first, second = layers[0].self_attn, layers[1].self_attn
    for head, frame in enumerate((one_back, two_back)):
        _write_previous_token_head(
            first, head, read, _WRITE_GAIN * embedding_std * frame, angles * (head + 1)
        )
    gain = _COPY_GAIN * embedding_std
    # This token here, one back there; the one before it here, two back there.
    _write_induction_head(second, 0, read, one_back, copy, gain)
    _write_induction_head(second, 1, one_back, two_back, copy, gain)


def frames(width: int, rank: int, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Subspaces at right angles to each other, each as `rank` orthonormal rows of `width` numbers.

    What one head writes into its subspace must not be read as what another wrote.
    """
    columns: Tensor = torch.linalg.qr(torch.randn(width, rank * count, generator=generator))[0]
    return tuple(columns.T.reshape(count, rank, width))


def slow_pairs(rank: int) -> Tensor:
    """Ones at the numbers of a head that rotation hardly turns, zeros elsewhere."""
    slow, half = torch.zeros(rank), rank // 2
    first = int(half * (1 - _SLOWEST_SHARE))
    slow[first:half] = slow[half + first :] = 1
    return slow


def _write_previous_token_head(
    attention: Any, head: int, read: Tensor, write: Tensor, turn: Tensor
) -> None:
    """Constant queries and keys whose rotation peaks where the queries are turned back to."""
    rank = len(read)
    half = rank // 2
    rows = slice(head * rank, (head + 1) * rank)
    for projection in (attention.q_proj, attention.k_proj):
        projection.weight[rows] = 0
        projection.bias[rows] = 0
    # <R(p) q, R(p - n) k> = sum cos(angle * distance - turn), turn = angle * n.
    key, query = attention.k_proj.bias[rows], attention.q_proj.bias[rows]
    key[:half] = _PREVIOUS_SHARPNESS
    query[:half] = _PREVIOUS_SHARPNESS * torch.cos(-turn)
    query[half:] = _PREVIOUS_SHARPNESS * torch.sin(-turn)
    attention.v_proj.weight[rows] = read
    attention.o_proj.weight[:, rows] = write.T


def _write_induction_head(
    attention: Any, head: int, here: Tensor, there: Tensor, copy: Tensor, gain: float
) -> None:
    """Queries read one subspace here, keys another one there: match, and copy what stands there."""
    rank = len(here)
    rows = slice(head * rank, (head + 1) * rank)
    # Matching must not depend on the distance.
    slow = slow_pairs(rank)
    attention.q_proj.weight[rows] = _MATCH_GAIN * slow[:, None] * here
    attention.k_proj.weight[rows] = _MATCH_GAIN * slow[:, None] * there
    attention.v_proj.weight[rows] = copy
    attention.o_proj.weight[:, rows] = gain * copy.T
