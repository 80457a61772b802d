"""Reuse: nodes that a store has already, for windows that are the same as before.

Knows windows and the contract of stores; knows no models and does not decide what is cut where.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from lmos.errors import StoreCorrupt
from lmos.nodes import NodeIds, Span
from lmos.store import AbstractStore, WindowPlace
from lmos.store.base import Spans
from lmos.tree.segments import WindowContent


class WindowNodes(NamedTuple):
    """What a window was compressed to."""

    embeddings_SD: Float[Tensor, "S D"]
    keys_SK: Float[Tensor, "S K"]


def known_windows(
    store: AbstractStore, contents: Collection[WindowContent]
) -> dict[WindowContent, WindowNodes]:
    """Nodes of those windows that some source has, wherever they stand, to the bit."""
    try:
        with store.snapshot():
            places = store.find_windows([token_ids for token_ids, _ in contents])
            found = [content for content in contents if content[0] in places]
            return _read_nodes(store, found, [places[token_ids] for token_ids, _ in found])
    except StoreCorrupt:
        # A damaged source must not keep others from being added.
        return {}


def _read_nodes(
    store: AbstractStore, contents: Sequence[WindowContent], places: Sequence[WindowPlace]
) -> dict[WindowContent, WindowNodes]:
    """The nodes at some places, where their spans are those of the window."""
    if not contents:
        return {}
    firsts_M, counts_M = _first_nodes(store, places)
    stops_M = np.minimum(firsts_M + [len(spans) for _, spans in contents], counts_M)
    source_ids_M = np.array([place.source_id for place in places])
    ids = NodeIds.from_runs(
        np.column_stack([source_ids_M, np.ones_like(firsts_M), firsts_M, stops_M])
    )
    sizes = (stops_M - firsts_M).tolist()
    spans = np.split(store.spans(ids), np.cumsum(sizes)[:-1])
    embeddings = torch.split(store.embeddings(ids).float(), sizes)
    keys = torch.split(store.keys(ids).float(), sizes)
    return {
        content: WindowNodes(*vectors)
        for content, spans_S4, *vectors in zip(contents, spans, embeddings, keys, strict=True)
        if _have_spans(spans_S4, content[1])
    }


def _first_nodes(
    store: AbstractStore, places: Sequence[WindowPlace]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each place, the first node whose text begins there, and how many nodes its source has.

    A binary search for all at once.
    """
    ids = [place.source_id for place in places]
    counts = {each: store.source_by_id(each).level_counts[0] for each in set(ids)}
    counts_M = np.array([counts[each] for each in ids])
    bytes_M = np.array([place.byte_span.start for place in places])
    low_M, high_M = np.zeros_like(counts_M), counts_M - 1
    while (low_M < high_M).any():
        middle_M = (low_M + high_M) // 2
        rows = np.column_stack([ids, np.ones_like(middle_M), middle_M])
        is_before_M = store.spans(NodeIds(rows))[:, 2] < bytes_M
        low_M = np.where(is_before_M, np.minimum(middle_M + 1, high_M), low_M)
        high_M = np.where(is_before_M, high_M, middle_M)
    return low_M, counts_M


def _have_spans(spans_S4: Spans, wanted: Sequence[Span]) -> bool:
    """Whether nodes stand for these spans of their window."""
    # A node without text may belong to the window before.
    is_first = bool(spans_S4[0, 3] > spans_S4[0, 2])
    children = (spans_S4[:, :2] - spans_S4[0, 0]).tolist()
    return is_first and children == [list(span) for span in wanted]
