"""Openings: what a model keeps of the tokens with which every prompt begins.

Prompts of one format begin with the same instructions; their keys and values are worked out once
and not again for every question. Knows caches as transformers grows them; knows no prompts.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

_GROWING = "DynamicLayer"
"""What transformers calls the cache of a layer that only grows: no window slides over it."""


class Opening:
    """The cache of the items that prompts begin with.

    Args:
        key: Of what the cache depends on beside the weights, the items among it.
        module: The model; when its weights change, the opening is not used any more.
        layers: Keys and values of the items.
        cache: What the layers are from.
    """

    def __init__(self, key: Hashable, module: nn.Module, layers: list[Any], cache: Any) -> None:
        self._key, self._versions = key, _versions(module)
        self._layers, self._cache = layers, copy.copy(cache)
        self._cache.layers = []

    @classmethod
    def cut(cls, key: Hashable, module: nn.Module, cache: Any, size: int) -> Opening | None:
        """The first items of a cache; `None` if the model keeps more than keys and values."""
        layers = getattr(cache, "layers", None)
        if not layers or any(type(layer).__name__ != _GROWING for layer in layers):
            return None
        cut = [copy.copy(layer) for layer in layers]
        for layer in cut:
            layer.keys = layer.keys[:, :, :size].detach().clone()
            layer.values = layer.values[:, :, :size].detach().clone()
        return cls(key, module, cut, cache)

    def is_of(self, key: Hashable, module: nn.Module) -> bool:
        """Whether it was made for this, with the weights as they are."""
        return self._key == key and self._versions == _versions(module)

    def begin(self) -> Any:
        """A cache for one prompt."""
        begun = copy.copy(self._cache)
        # What is added to a layer becomes a new tensor, so layers may share those that they have.
        begun.layers = [copy.copy(layer) for layer in self._layers]
        return begun


def begins_with(x_TD: Float[Tensor, "T D"], x_KD: Float[Tensor, "K D"]) -> bool:
    """Whether items begin with these, and go on."""
    size = len(x_KD)
    return len(x_TD) > size and torch.equal(x_TD[:size].float(), x_KD.float())


def _versions(module: nn.Module) -> int:
    """Grows with every change of a weight in place."""
    return sum(weight._version for weight in module.parameters())
