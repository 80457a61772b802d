"""The compressor: a window of level l in, its embeddings of level l + 1 out.

The base model's own forward pass over `[items; compression tokens]` under the segmented mask; the
same code and the same weights at every level. Knows neither disks nor queries.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lmos.model.base import BaseModel
from lmos.model.masks import segmented_mask, segmented_positions, span_means


class Compressor:
    """Compresses batches of windows with a base model.

    Args:
        model: Base model and adapter.
        mask_mode: `window` or `strict`, see `segmented_mask`.
        output_mode: `residual`: means of the span's inputs and final states, and the compression
            token's own final state, with learned gains. `mean`: the means alone. `paper`: the
            token's state alone.
    """

    def __init__(
        self, model: BaseModel, mask_mode: str = "window", output_mode: str = "residual"
    ) -> None:
        self._model = model
        self._mask_mode = mask_mode
        self._output_mode = output_mode

    def compress(
        self,
        x_BTD: Float[Tensor, "B T D"],
        spans_BT: Int[Tensor, "B T"],
        num_spans: int,
        level: int,
    ) -> Float[Tensor, "B S D"]:
        r"""Compress windows of items of level `level - 1` to embeddings of level `level`.

        $$e_j = r\Big(s \odot r(\bar x_{S_j}) + r(\bar h_{S_j} + g \odot h_{m_j})\Big)$$

        with $\bar x$ the mean of the span's inputs, $\bar h$ of its last hidden states, $m_j$ its
        compression token, $g$ and $s$ learned gains, and $r$ to bring a vector to the scale of
        the token embeddings. What went in stays visible in what comes out, at every level, and a
        model that was never trained for this has the means to start from. In mode `mean`, $g$ is 0.

        Source: arXiv 2409.01495, compressor. Where we differ: the paper returns $h_{m_j}$ (mode
        `paper`) from a learned memory token; ours starts from the span's mean plus a learned
        level embedding, and keeps the means of inputs and states, which trains faster.

        Args:
            x_BTD: Token embeddings (level 0) or nodes of level `level - 1`, at input scale.
            spans_BT: The span of each item, or `PADDING`.
            num_spans: Spans of the row with most; those that a row lacks give rows to ignore.
            level: Of the result, from 1.
        """
        num_items = x_BTD.shape[1]
        adapter = self._model.adapter
        items_BTD = x_BTD if level == 1 else x_BTD + adapter.level_LD[level - 1]
        means_BSD = adapter.to_input_scale(span_means(items_BTD, spans_BT, num_spans))
        tokens_BSD = means_BSD + adapter.compression_LD[level]
        hidden_BTD = self._states(torch.cat([items_BTD, tokens_BSD], dim=1), spans_BT, num_spans)
        own_BSD = hidden_BTD[:, num_items:]
        if self._output_mode == "paper":
            return adapter.to_input_scale(own_BSD)
        states_BSD = span_means(hidden_BTD[:, :num_items], spans_BT, num_spans)
        if self._output_mode == "residual":
            states_BSD = states_BSD + adapter.residual_D * own_BSD
        return adapter.to_input_scale(
            adapter.skip_D * means_BSD + adapter.to_input_scale(states_BSD)
        )

    def _states(
        self, x_BTD: Float[Tensor, "B TS D"], spans_BT: Int[Tensor, "B T"], num_spans: int
    ) -> Float[Tensor, "B TS D"]:
        """Hidden states of items and compression tokens.

        Pretrained models turn whatever stands first into a sink of attention with a state of its
        own kind; behind a fixed prefix that is not the first item.
        """
        config = self._model.adapter.config
        mask = segmented_mask(spans_BT, num_spans, self._mask_mode)
        positions_BT = segmented_positions(spans_BT, num_spans)
        if not config.has_prefix:
            return self._model.forward(x_BTD, mask, positions_BT, config.depth)
        prefix_1 = torch.tensor([self._model.prefix_id], device=x_BTD.device)
        prefix_B1D = self._model.embed(prefix_1).to(x_BTD).expand(len(x_BTD), 1, -1)
        mask = nn.functional.pad(mask, (0, 0, 1, 0), value=False)
        mask = nn.functional.pad(mask, (1, 0), value=True)
        positions_BT = nn.functional.pad(positions_BT + 1, (1, 0))
        x_BTD = torch.cat([prefix_B1D, x_BTD], dim=1)
        return self._model.forward(x_BTD, mask, positions_BT, config.depth)[:, 1:]
