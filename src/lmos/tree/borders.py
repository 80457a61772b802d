"""Borders: where a model's own reading of a window suggests that spans begin.

A window is read alone, outside of any batch: nothing but its own tokens has a say, not even by
rounding, so that text added in pieces is cut as text added at once. Knows the model; knows neither
how spans are cut nor trees.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from lmos.model.base import BaseModel
from lmos.tree.segments import SegmentConfig


@torch.no_grad()
def score_borders(model: BaseModel, config: SegmentConfig, token_ids: Sequence[int]) -> list[float]:
    """How good a place each token of a window is for a span to begin, as the segmenter sees it.

    Costs a forward pass over the window, or, for `attention`, its layers up to the scoring layer.
    """
    ids_T = torch.tensor(token_ids, device=model.device)
    with _no_autocast(model.device.type):
        if config.segmenter == "surprise":
            scores_T = surprise(model, ids_T)
        else:
            scores_T = attention_before(model, ids_T, config.ratio)
    scores: list[float] = scores_T.tolist()
    return scores


def _no_autocast(device_type: str) -> AbstractContextManager[object]:
    """Keep spans in training those of later use, whatever the training casts."""
    if not torch.amp.is_autocast_available(device_type):
        return nullcontext()
    return torch.autocast(device_type, enabled=False)


def surprise(model: BaseModel, ids_T: Int[Tensor, " T"]) -> Float[Tensor, " T"]:
    r"""How little the model expected each token after those before it in the window, in nats.

    $$s_t = -\log p(x_t \mid x_0, \dots, x_{t-1})$$

    Source: EM-LLM, arXiv 2407.09450, surprise-based segmentation. Where we differ: there a span
    begins wherever surprise exceeds its running mean by some deviations; ours begin where it is
    largest within reach (`tree.segments.peak_spans`), so that the ratio is met. There borders are
    then moved to suit the similarity of keys; ours stay.

    Returns:
        Zero for the first token, which nothing comes before.
    """
    hidden_TD = model.forward(model.embed(ids_T[None]))[0]
    logits_TV = model.logits(hidden_TD[:-1]).float()
    return F.pad(F.cross_entropy(logits_TV, ids_T[1:], reduction="none"), (1, 0))


def attention_before(model: BaseModel, ids_T: Int[Tensor, " T"], reach: int) -> Float[Tensor, " T"]:
    r"""How much the text from each token on looks back at the token just before it.

    $$s_t = \operatorname{mean}_{h,\; t \le i < t + \text{reach}} a_{h,i,t-1}$$

    with $a$ the causal attention of the scoring layer within the window. Models look back most at
    tokens that close a stretch and stand for it, so a span ends with the token that was looked at
    most.

    Source: SepLLM, arXiv 2412.12094, finds that attention gathers on separators and what they
    close; H2O, arXiv 2306.14048, ranks tokens by the attention they receive. Where we differ: both
    choose which keys to keep; ours says where spans end. Only the next `reach` tokens count, so
    that tokens early and late in the window are looked at by as many.

    Returns:
        Zero for the first token.
    """
    state = model.attention(model.embed(ids_T[None]), None, None, model.scoring_layer)
    keys_HTd = state.keys_BGTd[0].repeat_interleave(model.num_heads // model.num_kv_heads, 0)
    scores_HTT = (state.queries_BHTd[0] @ keys_HTd.transpose(1, 2) * state.scaling).float()
    is_past_TT = torch.ones_like(scores_HTT[0], dtype=torch.bool).tril()
    looks_TT = scores_HTT.masked_fill(~is_past_TT, -torch.inf).softmax(-1).mean(0)
    is_near_TT = is_past_TT.tril(-1) & ~is_past_TT.tril(-1 - reach)
    received_T = (looks_TT * is_near_TT).sum(0) / is_near_TT.sum(0).clamp(min=1)
    return F.pad(received_T[:-1], (1, 0))
