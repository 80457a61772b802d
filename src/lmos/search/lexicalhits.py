"""Leaves that share words with a question, and which nodes of a tree are above them.

Reads spans of nodes. Knows neither words nor what else speaks for a node.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lmos.nodes import NodeIds
from lmos.store import AbstractStore


class LexicalHits:
    """Leaves with scores, to be asked from above.

    Args:
        store: Where they are.
        ids: Nodes of level 1.
        scores: Of each, above 0.
    """

    def __init__(self, store: AbstractStore, ids: NodeIds, scores: NDArray[np.float32]) -> None:
        self._store = store
        order = np.lexsort((ids.rows[:, 2], ids.rows[:, 0]))
        self._ids, self._scores = ids.take(order), scores[order]
        self._bytes = store.spans(self._ids)[:, 2]

    def without(self, ids: NodeIds) -> NodeIds:
        """Those that are not among some leaves."""
        return self._ids.take(~_are_among(self._ids, ids))

    def best_below(self, ids: NodeIds) -> NDArray[np.float32]:
        """Of each of some nodes of one level, the best score of a leaf in its text, or 0."""
        best_N = np.zeros(len(ids), np.float32)
        near = np.flatnonzero(np.isin(ids.rows[:, 0], self._ids.rows[:, 0]))
        if not len(near):
            return best_N
        sources_N = ids.rows[near, 0]
        bytes_N2 = self._store.spans(ids.take(near))[:, 2:]
        for source_id in np.unique(self._ids.rows[:, 0]).tolist():
            rows = np.flatnonzero(sources_N == source_id)
            hits = self._ids.rows[:, 0] == source_id
            best_N[near[rows]] = _best_within(bytes_N2[rows], self._bytes[hits], self._scores[hits])
        return best_N


def _best_within(
    bytes_N2: NDArray[np.int64], places_M: NDArray[np.int64], scores_M: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Of each stretch, the best score of the places in it; stretches may overlap."""
    first_N = np.searchsorted(places_M, bytes_N2[:, 0])
    stop_N = np.searchsorted(places_M, bytes_N2[:, 1])
    ends = np.column_stack([first_N, stop_N]).ravel()
    best = np.maximum.reduceat(np.append(scores_M, np.float32(0)), ends)[::2]
    return np.where(first_N < stop_N, best, np.float32(0))


def _are_among(ids: NodeIds, others: NodeIds) -> NDArray[np.bool_]:
    codes_N, codes_M = (each.rows[:, 0] << 32 | each.rows[:, 2] for each in (ids, others))
    return np.isin(codes_N, codes_M)
