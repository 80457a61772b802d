"""Rows: the next steps of several texts in one forward pass, whatever their lengths.

Each text keeps the cache that it has, so that any of them may step together with any others, or
alone. Knows caches as transformers grows them; knows neither tokens nor threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class RowsCache:
    """The caches of several texts, as a model takes one: what is older is put to the left.

    Nothing is added to them before `commit`, so that a pass that fails leaves them as they were.

    Args:
        caches: One for each row, filled by passes of their own.
    """

    is_compileable = False

    def __init__(self, caches: Sequence[Any]) -> None:
        self._caches = caches
        self._new: dict[int, tuple[Tensor, Tensor]] = {}

    @staticmethod
    def takes(cache: Any) -> bool:
        """Whether a cache is one of a single row, with the keys and values of each layer."""
        layers = getattr(cache, "layers", None) or [None]
        return all(
            isinstance(getattr(layer, "keys", None), Tensor) and len(layer.keys) == 1
            for layer in layers
        )

    def update(
        self,
        key_BG1d: Float[Tensor, "B G 1 d"],
        value_BG1d: Float[Tensor, "B G 1 e"],
        layer: int,
        *_: Any,
        **__: Any,
    ) -> tuple[Float[Tensor, "B G S d"], Float[Tensor, "B G S e"]]:
        """Keys and values of one layer: those before, and the new ones in the last column."""
        self._new[layer] = (key_BG1d, value_BG1d)
        layers = [cache.layers[layer] for cache in self._caches]
        return (
            _joined([each.keys for each in layers], key_BG1d),
            _joined([each.values for each in layers], value_BG1d),
        )

    def get_seq_length(self, layer: int = 0) -> int:
        """Items before the new one in the longest row."""
        return max(int(cache.get_seq_length(layer)) for cache in self._caches)

    def positions(self, device: torch.device) -> Tensor:
        """Where the new item of each row stands in its text, `(B, 1)`."""
        lengths = [[int(cache.get_seq_length())] for cache in self._caches]
        return torch.tensor(lengths, device=device)

    def mask(self, layer: int, device: torch.device) -> Bool[Tensor, "B 1 1 S"]:
        """Which columns of a layer are items of the row, and not padding."""
        lengths_B = torch.tensor([c.layers[layer].keys.shape[2] for c in self._caches])
        longest = int(lengths_B.max())
        columns_S = torch.arange(longest + 1)
        return (columns_S >= (longest - lengths_B)[:, None])[:, None, None].to(device)

    def commit(self) -> None:
        """Add what is new to the cache of each row."""
        for layer, (key_BG1d, value_BG1d) in self._new.items():
            for row, cache in enumerate(self._caches):
                cache.update(key_BG1d[row : row + 1], value_BG1d[row : row + 1], layer)


def row_masks(config: Any, cache: RowsCache, device: torch.device) -> Any:
    """The mask as the model takes it: one, or one for each kind of layer that it mixes."""
    kinds = list(getattr(config, "layer_types", None) or ())
    if len(set(kinds)) < 2:
        return cache.mask(0, device)
    return {kind: cache.mask(kinds.index(kind), device) for kind in set(kinds)}


def _joined(past: Sequence[Tensor], new_BG1d: Tensor) -> Tensor:
    longest = max(each.shape[2] for each in past)
    rows, heads, _, width = new_BG1d.shape
    joined_BGSd = new_BG1d.new_zeros(rows, heads, longest + 1, width)
    for row, each in enumerate(past):
        joined_BGSd[row, :, longest - each.shape[2] : longest] = each[0]
    joined_BGSd[:, :, longest:] = new_BG1d
    return joined_BGSd
