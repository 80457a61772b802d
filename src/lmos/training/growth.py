"""Growth: a model of one more head a layer that does what it did before.

The new head of layer 0 gathers the words before a token; those of later layers look for places
before which the same words stand as before this one. So they tell who a sentence is about from
who another one is about, which a small model does not find by itself in reasonable time.

Source: widening that keeps the function is Net2Net's (arXiv 1511.05641), heads that are written
are those of mimetic initialisation (arXiv 2305.09828). Knows Llamas and adapters.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lmos.errors import ConfigError
from lmos.model.adapter import Adapter
from lmos.model.base import BaseModel
from lmos.training.initial import frames, slow_pairs

_NEARNESS = 4.0
_NEAR_ANGLES = (0.05, 0.26)
_STILL_ANGLE = 0.002
_EMPHASIS = 5.0
_FRAME_WORDS_PENALTY = 4.0
_GATHER_GAIN = 20.0
_FRAME_WORDS = "Question: Answer:\n"


@torch.no_grad()
def widen(model: BaseModel, seed: int = 0) -> BaseModel:
    """A model with one more head in each layer and as much more width, and its adapter.

    Before the new heads are written it computes what the old one does: embeddings, norms and
    weights get zeros, and norms are scaled for the greater width.

    Args:
        model: A Llama as `lmos pretrain` makes it, its adapter trained or not; not changed.
        seed: Of the subspaces that the model's own heads were written with.

    Raises:
        ConfigError: It has LoRA weights, is no Llama, shares keys among heads, or has no bias in
            its attention.
    """
    old = _require_widenable(model)
    head_width = model.head_width
    width = model.embedding_width + head_width
    num_heads = model.num_heads + 1
    wide = model.with_shape(
        hidden_size=width, num_attention_heads=num_heads, num_key_value_heads=num_heads
    )
    share = (model.embedding_width / width) ** 0.5
    like = wide.module.state_dict()
    wide.module.load_state_dict(
        {
            name: _widened(name, weight, like[name], share)
            for name, weight in old.state_dict().items()
        }
    )
    wide.adapter = _wide_adapter(model.adapter, width, num_heads, share)
    wide.is_trained = model.is_trained
    _write_matching_heads(wide, model, seed)
    return wide


def _require_widenable(model: BaseModel) -> Any:
    module = model.module
    if model.has_lora:
        raise ConfigError(f"{model.name} has LoRA weights; expected a model that is whole")
    if module.config.model_type != "llama" or not module.config.attention_bias:
        raise ConfigError(
            f"expected a Llama with attention_bias=true, got {module.config.model_type}"
        )
    if module.config.num_key_value_heads != module.config.num_attention_heads:
        raise ConfigError("expected a key head for each query head")
    if model.embedding_width < 4 * model.head_width:
        raise ConfigError(f"expected a width of at least four heads, got {model.embedding_width}")
    return module


def _widened(name: str, old: Tensor, like: Tensor, share: float) -> Tensor:
    """The old weights, zeros around them; norms see a mean over more numbers."""
    new = torch.zeros_like(like)
    new[tuple(slice(0, size) for size in old.shape)] = old.float()
    if "norm" in name:
        new[len(old) :] = old.float().mean()
        new *= share
    return new


def _wide_adapter(adapter: Adapter, width: int, num_heads: int, share: float) -> Adapter:
    """The same weights, zeros around them."""
    added = width - adapter.config.embedding_width
    config = replace(
        adapter.config,
        embedding_width=width,
        num_heads=num_heads,
        query_width=adapter.config.query_width + added,
        key_width=adapter.config.key_width + added,
    )
    wide = Adapter(config)
    state = {
        name: _widened(name, adapter.tensors()[name], like, share)
        for name, like in wide.tensors().items()
    }
    # Embeddings keep their length over more numbers.
    wide.load_state_dict({**state, "scale": adapter.scale * share})
    wide.names_steps = adapter.names_steps
    return wide


def _write_matching_heads(wide: BaseModel, old: BaseModel, seed: int) -> None:
    layers = wide.module.model.layers
    width, rank = old.embedding_width, old.head_width
    generator = torch.Generator().manual_seed(seed)
    read, _, _, copy = frames(width, rank, 4, generator)
    angles = wide.module.model.rotary_emb.inv_freq.float()
    norm_D = layers[0].input_layernorm.weight[:width]
    _write_gathering_head(layers[0].self_attn, read, _emphasis(old) / norm_D, angles)
    order = torch.randperm(rank, generator=generator)
    for number, layer in enumerate(layers[1:], 1):
        # Odd layers compare one half of the words' directions, even ones the other.
        half = order[: rank // 2] if number % 2 else order[rank // 2 :]
        _write_matching_head(layer.self_attn, width, rank, half)
        rows = slice(-rank, None)
        if number % 2:  # say the token that stands there
            layer.self_attn.v_proj.weight[rows, :width] = copy
            layer.self_attn.o_proj.weight[:width, rows] = copy.T
        else:  # say the words that stand before it
            layer.self_attn.v_proj.weight[rows, width:] = torch.eye(rank)
            layer.self_attn.o_proj.weight[:width, rows] = read.T


def _emphasis(model: BaseModel) -> Float[Tensor, " D"]:
    """What keys are made with: large for words that retrieval looks at, small for the prompt's."""
    embeddings_VD = model.module.get_input_embeddings().weight.float()
    emphasis_D = _EMPHASIS * model.adapter.pool_RD.mean(0) / model.embedding_width**0.5
    for token in dict.fromkeys(model.encode(_FRAME_WORDS).ids):
        word_D = embeddings_VD[token]
        emphasis_D = emphasis_D - _FRAME_WORDS_PENALTY * word_D / word_D.square().sum()
    scaled_D: Tensor = emphasis_D * embeddings_VD.square().mean(1).sqrt().mean()
    return scaled_D


def _write_gathering_head(
    attention: Any, read: Float[Tensor, "d D"], emphasis_D: Tensor, angles: Tensor
) -> None:
    """The last words, those that matter most of all, into the new numbers of the residual."""
    rank, width = read.shape
    half = rank // 2
    rows = slice(-rank, None)
    near = ((angles > _NEAR_ANGLES[0]) & (angles < _NEAR_ANGLES[1])).float()
    still = (angles < _STILL_ANGLE).float()
    # <R(p) q, R(p - n) k> falls with n in the pairs that turn, and does not in the others.
    strength = (_NEARNESS * rank**0.5 / near.sum()).sqrt()
    attention.q_proj.bias[rows][:half] = strength * near + still
    attention.k_proj.bias[rows][:half] = strength * near
    keys = still[:, None] * emphasis_D * rank**0.5 / still.sum()
    attention.k_proj.weight[rows, :width][:half] = keys
    attention.v_proj.weight[rows, :width] = read
    attention.o_proj.weight[width:, rows] = _GATHER_GAIN * torch.eye(rank)


def _write_matching_head(attention: Any, width: int, rank: int, half: Tensor) -> None:
    """Queries and keys are what the first layer gathered here and there."""
    rows = slice(-rank, None)
    places = slow_pairs(rank).nonzero()[:, 0]
    match = torch.zeros(rank, width + rank)
    match[places, width + half] = 1.0
    attention.q_proj.weight[rows] = match
    attention.k_proj.weight[rows] = match
