"""Stores that last as long as a benchmark, and the level-1 nodes in them.

Knows sources, bytes and nodes; knows neither questions nor how they are answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from lmos.model.base import BaseModel
from lmos.nodes import NodeId, Source, Span
from lmos.search.scorers import AbstractScorer
from lmos.session import Session, make_manifest
from lmos.settings import DEFAULT_RATIOS
from lmos.store import AbstractStore, SourcePatch
from lmos.store.memory import MemoryStore
from lmos.tree.builder import SourceText, TreeBuilder
from lmos.tree.keys import node_keys


class Place(NamedTuple):
    """Bytes of a source, such as the sentence that answers a question."""

    source: str
    span: Span


def new_session(
    model: BaseModel,
    ratios: tuple[int, ...] = DEFAULT_RATIOS,
    scorer: AbstractScorer | None = None,
    **modes: Any,
) -> Session:
    """An empty store in memory; what it keeps is rounded as in a file."""
    return Session(model, MemoryStore(make_manifest(model, ratios, **modes)), scorer=scorer)


def leaves_of(store: AbstractStore, place: Place) -> list[NodeId]:
    """The level-1 nodes that overlap a place."""
    source = store.source(place.source)
    first = _leaf_at(store, source.source_id, source.level_counts[0], place.span.start)
    last = _leaf_at(store, source.source_id, source.level_counts[0], place.span.stop - 1)
    return [NodeId(source.source_id, 1, index) for index in range(first, last + 1)]


def _leaf_at(store: AbstractStore, source_id: int, num_leaves: int, byte: int) -> int:
    low, high = 0, num_leaves - 1
    while low < high:
        middle = (low + high) // 2
        (node,) = store.nodes([NodeId(source_id, 1, middle)])
        low, high = (low, middle) if node.byte_span.stop > byte else (middle + 1, high)
    return low


class Leaves:
    """All level-1 nodes of a store, with what a search over them needs, made when it is asked for.

    Args:
        model: The one that wrote the store.
        store: Must not change.
    """

    def __init__(self, model: BaseModel, store: AbstractStore) -> None:
        self._model = model
        self._store = store

    @cached_property
    def ids(self) -> Sequence[NodeId]:
        """In order of source and index."""
        return self._store.level_ids(1)

    @cached_property
    def texts(self) -> list[str]:
        """What each leaf stands for."""
        sources = {node_id.source_id for node_id in self.ids}
        texts = {source_id: self._store.text(source_id) for source_id in sources}
        return [
            texts[node.id.source_id][slice(*node.byte_span)].decode(errors="replace")
            for node in self._store.nodes(self.ids)
        ]

    @cached_property
    def mean_keys(self) -> Float[Tensor, "N K"]:
        """What a compressor that learned nothing would keep of each leaf.

        Keys of the mean of its token embeddings; with retrieval heads, which have learned maps
        too, the mean itself, less the mean of all, at length 1.
        """
        means = [self._means(source) for source in self._store.sources()]
        if self._model.adapter.heads is not None:
            return normalize(torch.cat(means) - self.centre, dim=-1)
        with torch.no_grad():
            return torch.cat(
                [
                    node_keys(self._model, means_ND, 1, self._model.scoring_layer)
                    for means_ND in torch.split(torch.cat(means), 8192)
                ]
            )

    @cached_property
    def centre(self) -> Float[Tensor, " D"]:
        """The mean of the leaves' means."""
        return torch.cat([self._means(source) for source in self._store.sources()]).mean(0)

    def _means(self, source: Source) -> Float[Tensor, "N D"]:
        ids = [i for window in self._store.windows(source.source_id) for i in window.token_ids]
        count = source.level_counts[0]
        nodes = self._store.nodes([NodeId(source.source_id, 1, index) for index in range(count)])
        return mean_embeddings(self._model, ids, [node.children for node in nodes])


@torch.no_grad()
def mean_embeddings(
    model: BaseModel, token_ids: Sequence[int], spans: Sequence[Span]
) -> Float[Tensor, "N D"]:
    """The mean of the token embeddings of each span, at input scale."""
    x_TD = model.embed(torch.tensor(token_ids, device=model.device)).float()
    means_1ND = torch.stack([x_TD[slice(*span)].mean(0) for span in spans])[None]
    return model.adapter.to_input_scale(means_1ND)[0]


@torch.no_grad()
def session_with(
    model: BaseModel,
    ratios: tuple[int, ...],
    name: str,
    text: str,
    leaves: Callable[[SourcePatch], Float[Tensor, "N D"]],
) -> Session:
    """A store of one source whose leaves have other embeddings than the compressor's."""
    session = new_session(model, ratios)
    builder = TreeBuilder(model, session.store.manifest)
    (patch,) = builder.build(session.store, [SourceText(name, text.encode())])
    lowest = replace(patch.levels[0], embeddings=leaves(patch))
    session.store.put_source(name, replace(patch, levels=(lowest, *patch.levels[1:])))
    return session
