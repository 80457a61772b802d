"""Masks and positions: which item sees which, as pure tensor functions.

A window is a row of items followed by its compression tokens, one a span. Knows neither models
nor what the items are.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

PADDING = -1
"""The span number of an item that is padding."""


def segmented_mask(
    spans_BT: Int[Tensor, "B T"], num_spans: int, mode: str = "window"
) -> Bool[Tensor, "B TS TS"]:
    r"""Who may attend to whom in a window `[items; compression tokens]`.

    Compression token $j$ sees the items of span $j$ and itself. Items see earlier items of the
    window (`window`) or of their own span (`strict`), and themselves.

    Source: arXiv 2409.01495, compressor, segmented attention mask. Where we differ: the paper
    speaks of memory tokens only; `window` lets an item use the context before its span, so that
    "she" in span 3 knows the name in span 1. `strict` is the sentence read literally.

    Args:
        spans_BT: The span of each item, `0..S-1`, or `PADDING`.
        num_spans: S.
        mode: `window` or `strict`.

    Returns:
        True where the row may attend to the column. Padding sees and is seen by itself alone.
    """
    batch, num_items = spans_BT.shape
    device = spans_BT.device
    real_BT = spans_BT != PADDING
    order_T = torch.arange(num_items, device=device)
    items_BTT = (order_T[:, None] >= order_T) & real_BT[:, :, None] & real_BT[:, None, :]
    if mode == "strict":
        items_BTT = items_BTT & (spans_BT[:, :, None] == spans_BT[:, None, :])
    tokens_BST = torch.arange(num_spans, device=device)[:, None] == spans_BT[:, None, :]
    mask = torch.eye(num_items + num_spans, dtype=torch.bool, device=device).repeat(batch, 1, 1)
    mask[:, :num_items, :num_items] |= items_BTT
    mask[:, num_items:, :num_items] = tokens_BST
    return mask


def segmented_positions(spans_BT: Int[Tensor, "B T"], num_spans: int) -> Int[Tensor, "B TS"]:
    """Position ids of a window: items count from 0, a compression token stands where its span ends.

    Args:
        spans_BT: The span of each item, `0..S-1`, or `PADDING`.
        num_spans: S. A span without items gets position 0.
    """
    batch, num_items = spans_BT.shape
    order_BT = torch.arange(num_items, device=spans_BT.device).expand(batch, -1)
    ends_BS = order_BT.new_zeros(batch, num_spans + 1)
    slots_BT = torch.where(spans_BT == PADDING, num_spans, spans_BT)
    ends_BS.scatter_reduce_(1, slots_BT, order_BT, "amax")
    return torch.cat([order_BT, ends_BS[:, :num_spans]], dim=1)


def span_means(
    x_BTD: Float[Tensor, "B T D"], spans_BT: Int[Tensor, "B T"], num_spans: int
) -> Float[Tensor, "B S D"]:
    """Mean of the items of each span; zero for a span without items. Gradients flow."""
    is_member_BST = torch.arange(num_spans, device=x_BTD.device)[:, None] == spans_BT[:, None, :]
    weights_BST = is_member_BST.to(x_BTD.dtype)
    weights_BST = weights_BST / weights_BST.sum(-1, keepdim=True).clamp(min=1)
    return weights_BST @ x_BTD


def causal_mask(
    real_BT: Bool[Tensor, "B T"],
) -> Bool[Tensor, "B T T"]:
    """Causal attention among real items; padding sees itself alone."""
    order_T = torch.arange(real_BT.shape[1], device=real_BT.device)
    mask_BTT = (order_T[:, None] >= order_T) & real_BT[:, :, None] & real_BT[:, None, :]
    return mask_BTT | torch.eye(real_BT.shape[1], dtype=torch.bool, device=real_BT.device)
