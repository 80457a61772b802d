"""The attention function that lmos runs inside a Hugging Face model.

Scaled dot product attention under the mask that the model is given, and a way to listen: the
queries and keys of one layer, or of every layer. Knows neither adapters nor trees.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from lmos.errors import ModelError

ATTENTION_NAME = "lmos"

# What a model may ask of its attention that a stored key cannot reproduce.
_UNSUPPORTED = {
    "softcap": "it caps its attention scores (softcapping)",
    "s_aux": "its attention has sinks",
    "position_bias": "it adds a bias to its attention scores (ALiBi or relative positions)",
    "head_mask": "it masks attention heads",
}


@dataclass(frozen=True)
class AttentionState:
    """Queries and keys of one layer as they enter the dot product.

    Probabilities are `softmax(scaling * queries @ keys)` over the keys that the mask allows; query
    head `h` belongs to key head `h // (H // G)`.

    Attributes:
        queries_BHTd: With positions and norms applied.
        keys_BGTd: With positions and norms applied.
        scaling: Factor of the dot product.
    """

    queries_BHTd: Float[Tensor, "B H T d"]
    keys_BGTd: Float[Tensor, "B G T d"]
    scaling: float


class LayerReached(Exception):
    """Stops a forward pass once the layer it was run for has been heard."""


@dataclass
class Recorder:
    """Listens to the attention of a forward pass.

    Attributes:
        stop_layer: Layer after whose dot product inputs the pass is cut short; `None` runs all.
        states: What was heard, by layer.
    """

    stop_layer: int | None
    states: dict[int, AttentionState] = field(default_factory=dict)


_recorder: ContextVar[Recorder | None] = ContextVar("lmos_recorder", default=None)


@contextmanager
def record_attention(stop_layer: int | None) -> Iterator[Recorder]:
    """Listen to the forward pass inside the `with`, in this thread only.

    A pass that is cut short leaves the `with` quietly.
    """
    recorder = Recorder(stop_layer)
    token = _recorder.set(recorder)
    try:
        yield recorder
    except LayerReached:
        pass
    finally:
        _recorder.reset(token)


def masks_by_layer_type(
    config: Any, mask_BTT: Bool[Tensor, "B T T"], positions_BT: Int[Tensor, "B T"]
) -> Bool[Tensor, "B 1 T T"] | dict[str, Bool[Tensor, "B 1 T T"]]:
    """The mask as the model takes it: one, or one for each kind of layer that it mixes.

    In layers with a sliding window an item also does not see items whose position is a window or
    more before its own.
    """
    layer_types = set(getattr(config, "layer_types", None) or ())
    window = getattr(config, "sliding_window", None)
    full = mask_BTT[:, None]
    if window is None or layer_types == {"full_attention"}:
        return full
    distance_BTT = positions_BT[:, :, None] - positions_BT[:, None, :]
    sliding = full & (distance_BTT < int(window))[:, None]
    if "full_attention" in layer_types:
        return {"full_attention": full, "sliding_attention": sliding}
    return sliding


def _attend(
    module: nn.Module,
    query: Float[Tensor, "B H T d"],
    key: Float[Tensor, "B G S d"],
    value: Float[Tensor, "B G S e"],
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    **options: Any,
) -> tuple[Float[Tensor, "B T H e"], None]:
    """Attention as `transformers` calls it; `None` as mask means causal."""
    for name, reason in _UNSUPPORTED.items():
        if options.get(name) is not None:
            raise ModelError(f"{reason}, which lmos does not reproduce")
    scaling = query.shape[-1] ** -0.5 if scaling is None else float(scaling)
    _listen(module, query, key, scaling)
    is_causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    num_groups = query.shape[1] // key.shape[1]
    mask = _additive(attention_mask, query.dtype)
    key, value = _repeat_heads(key, num_groups), _repeat_heads(value, num_groups)
    dropout = dropout if module.training else 0.0
    if mask is not None and not dropout and query.requires_grad and query.device.type == "cpu":
        # The fused kernel's backward is several times slower than plain products on a CPU.
        weights_BHTS = (query @ key.transpose(2, 3) * scaling + mask).softmax(-1)
        output_BHTe = weights_BHTS.to(value.dtype) @ value
    else:
        output_BHTe = nn.functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            dropout_p=dropout,
            is_causal=mask is None and is_causal and query.shape[2] > 1,
            scale=scaling,
        )
    return output_BHTe.transpose(1, 2).contiguous(), None


def _listen(module: nn.Module, query: Tensor, key: Tensor, scaling: float) -> None:
    recorder = _recorder.get()
    if recorder is None:
        return
    layer = int(module.layer_idx)  # type: ignore[arg-type]
    if recorder.stop_layer is None or recorder.stop_layer == layer:
        recorder.states[layer] = AttentionState(query, key, scaling)
    if recorder.stop_layer == layer:
        raise LayerReached


def _additive(mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """A boolean mask as numbers to add to the scores, so that a row without any key stays finite.

    Half of the smallest number leaves room for the score itself, and still has weight zero.
    """
    if mask is None or mask.dtype != torch.bool:
        return mask
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(
        ~mask, torch.finfo(dtype).min / 2
    )


def _repeat_heads(x_BGTd: Tensor, num_groups: int) -> Tensor:
    if num_groups == 1:
        return x_BGTd
    return x_BGTd.repeat_interleave(num_groups, dim=1)


AttentionInterface.register(ATTENTION_NAME, _attend)
AttentionMaskInterface.register(ATTENTION_NAME, sdpa_mask)
