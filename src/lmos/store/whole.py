"""A whole source as one patch, read from any store: what another store needs to have the same.

Knows the contract of stores; knows neither files nor models.
"""

from __future__ import annotations

from collections.abc import Sequence

from lmos.nodes import NodeId, PlaceMark, Source
from lmos.store.base import AbstractStore, LevelPatch, SourcePatch


def whole_patch(store: AbstractStore, source: Source) -> SourcePatch:
    """The patch that makes a source what it is, from nothing."""
    return SourcePatch(
        text_start=0,
        text=store.text(source.source_id),
        window_start=0,
        windows=tuple(store.windows(source.source_id)),
        levels=tuple(
            _whole_level(store, source, level) for level in range(1, store.manifest.num_levels + 1)
        ),
    )


def copy_source(
    store: AbstractStore,
    source: Source,
    other: AbstractStore,
    places: Sequence[PlaceMark] | None = None,
) -> Source:
    """Put a source of one store into another of the same manifest, bit by bit the same.

    Args:
        store: Has the source.
        source: What is copied.
        other: Gets it.
        places: Instead of its own, where these cannot be read.
    """
    patch = whole_patch(store, source)
    places = store.places(source.source_id) if places is None else places
    return other.put_source(
        source.name, patch, time=source.time, metadata=source.metadata, places=places
    )


def _whole_level(store: AbstractStore, source: Source, level: int) -> LevelPatch:
    count = source.level_counts[level - 1]
    ids = [NodeId(source.source_id, level, index) for index in range(count)]
    nodes = store.nodes(ids)
    return LevelPatch(
        start=0,
        children=tuple(node.children for node in nodes),
        byte_spans=tuple(node.byte_span for node in nodes),
        embeddings=store.embeddings(ids),
        keys=store.keys(ids),
    )
