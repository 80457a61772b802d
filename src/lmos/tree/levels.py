"""Levels: windows of text or of nodes in, the embeddings and keys of the level above out.

The one place that says how a window is compressed and how what comes out is found again; builder
and checks use it. Knows the model; knows neither stores nor which windows must be compressed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lmos.model.base import BaseModel
from lmos.model.masks import PADDING
from lmos.store import Manifest
from lmos.tree.compressor import Compressor
from lmos.tree.keys import node_keys
from lmos.tree.reuse import WindowNodes
from lmos.tree.segments import WindowContent


class LevelCompressor:
    """Makes the nodes of windows, as a store keeps them.

    Args:
        model: Base model and adapter.
        manifest: Ratios and modes.
    """

    def __init__(self, model: BaseModel, manifest: Manifest) -> None:
        self._model = model
        self._manifest = manifest
        self._dtype = getattr(torch, manifest.dtype)
        self._compressor = Compressor(model, manifest.mask_mode, manifest.output_mode)

    def text(self, contents: Sequence[WindowContent]) -> list[WindowNodes]:
        """Nodes of level 1, window by window; all windows in one batch."""
        ids_BT, spans_BT = (part.to(self._model.device) for part in pad_windows(contents))
        counts = [len(spans) for _, spans in contents]
        x_BTD = self._model.embed(ids_BT)
        nodes_BSD = self._compressor.compress(x_BTD, spans_BT, max(counts), level=1)
        nodes = [
            rounded(nodes_SD[:count], self._dtype)
            for nodes_SD, count in zip(nodes_BSD, counts, strict=True)
        ]
        if self._model.adapter.heads is None:
            return self._with_attention_keys(nodes, 1)
        keys_BSK = self._model.adapter.heads.leaf_keys(x_BTD, ids_BT, spans_BT, max(counts))
        keys = [
            rounded(keys_SK[:count], self._dtype)
            for keys_SK, count in zip(keys_BSK, counts, strict=True)
        ]
        return list(map(WindowNodes, nodes, keys))

    def nodes(self, below: Sequence[WindowNodes], level: int) -> list[WindowNodes]:
        """Nodes of level `level` from full windows of the level below; all in one batch."""
        window, ratio = self._manifest.windows[level - 1], self._manifest.ratios[level - 1]
        order_T = torch.arange(window, device=self._model.device)
        spans_BT = order_T.div(ratio, rounding_mode="floor").expand(len(below), -1)
        items_BTD = torch.stack([nodes.embeddings_SD for nodes in below])
        nodes_BSD = self._compressor.compress(items_BTD, spans_BT, window // ratio, level)
        nodes = [rounded(nodes_SD, self._dtype) for nodes_SD in nodes_BSD]
        heads = self._model.adapter.heads
        if heads is None:
            return self._with_attention_keys(nodes, level)
        children_BTK = torch.stack([nodes.keys_SK for nodes in below]).float()
        lifted_NK = heads.lifted(children_BTK.reshape(-1, ratio, children_BTK.shape[-1]))
        keys = torch.split(rounded(lifted_NK, self._dtype), window // ratio)
        return list(map(WindowNodes, nodes, keys))

    def attention_keys(self, nodes_ND: Tensor, level: int) -> Tensor:
        """Keys `(N, K)` of nodes for an adapter without retrieval heads."""
        layer = self._manifest.scoring_layer
        return node_keys(self._model, nodes_ND, level, layer)

    def _with_attention_keys(self, nodes: Sequence[Tensor], level: int) -> list[WindowNodes]:
        keys_NK = rounded(self.attention_keys(torch.cat(list(nodes)), level), self._dtype)
        keys = torch.split(keys_NK, list(map(len, nodes)))
        return list(map(WindowNodes, nodes, keys))


def rounded(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Rounded as the store will, so that a node is the same read back or fresh.

    The gradient passes straight through.
    """
    return x + (x.to(dtype).to(x.dtype) - x).detach()


def pad_windows(windows: Sequence[WindowContent]) -> tuple[Tensor, Tensor]:
    """Token ids `(B, T)` and the span of each token `(B, T)` of windows of unequal length."""
    num_items = max(len(token_ids) for token_ids, _ in windows)
    ids_BT = torch.zeros(len(windows), num_items, dtype=torch.long)
    spans_BT = torch.full((len(windows), num_items), PADDING)
    for row, (token_ids, spans) in enumerate(windows):
        ids_BT[row, : len(token_ids)] = torch.tensor(token_ids)
        for number, span in enumerate(spans):
            spans_BT[row, span.start : span.stop] = number
    return ids_BT, spans_BT
