"""What a store file keeps in memory between reads, until something is written.

The records of sources, where checked blocks are, and the keys of roots: every walk scores all of
them, so they lie in one array, ready. Knows rows and bytes; knows neither vectors nor paths.
"""

from __future__ import annotations

from dataclasses import dataclass

import apsw
import numpy as np
from numpy.typing import NDArray

from lmos.errors import StoreCorrupt
from lmos.nodes import NodeIds
from lmos.store.blocks import SPANS, embeddings_layout, keys_layout
from lmos.store.gather import BlockReader, Items
from lmos.store.lexical import words_of_names
from lmos.store.manifest import Manifest
from lmos.store.records import SourceRecord, root_ids_of
from lmos.store.tables import find_source, iter_sources

_INDEX_BITS = 36


@dataclass(frozen=True)
class _RootKeys:
    """Keys of every root of one level, in order of source and index."""

    codes: NDArray[np.int64]
    items: Items


class ReadCache:
    """Reads through a connection, and remembers.

    Args:
        manifest: Of the store.

    Every method is called inside a transaction of the caller's.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._spans = BlockReader(SPANS)
        self._keys = BlockReader(keys_layout(manifest))
        self._embeddings = BlockReader(embeddings_layout(manifest))
        self._seen: tuple[int, int] | None = None
        self._records: list[SourceRecord] | None = None
        self._by_id: dict[int, SourceRecord] = {}
        self._sizes: dict[int, int] | None = None
        self._named: dict[str, list[int]] | None = None
        self._root_ids: NodeIds | None = None
        self._root_keys: dict[int, _RootKeys] = {}

    def reset(self) -> None:
        """Forget everything: rows may lie elsewhere now."""
        self._seen = self._records = self._sizes = self._named = self._root_ids = None
        self._root_keys, self._by_id = {}, {}
        for reader in (self._spans, self._keys, self._embeddings):
            reader.reset()

    def records(self, db: apsw.Connection) -> list[SourceRecord]:
        """Every source, in order of creation."""
        self._refresh(db)
        if self._records is None:
            self._records = list(iter_sources(db))
            self._by_id = {each.source.source_id: each for each in self._records}
        return self._records

    def record(self, db: apsw.Connection, source_id: int) -> SourceRecord | None:
        """One source; it alone is read if not all have been."""
        self._refresh(db)
        if self._records is None:
            return find_source(db, "source_id", source_id)
        return self._by_id.get(source_id)

    def num_leaves(self, db: apsw.Connection) -> dict[int, int]:
        """Of every source by id, how many nodes of level 1 it has."""
        records = self.records(db)
        if self._sizes is None:
            self._sizes = {each.source.source_id: each.num_nodes(1) for each in records}
        return self._sizes

    def named(self, db: apsw.Connection) -> dict[str, list[int]]:
        """Of every word in the name of a source, the ids of those sources."""
        records = self.records(db)
        if self._named is None:
            sources = (each.source for each in records)
            self._named = words_of_names((each.source_id, each.name) for each in sources)
        return self._named

    def root_ids(self, db: apsw.Connection) -> NodeIds:
        """Every node without a parent, in order of source, level, index."""
        records = self.records(db)
        if self._root_ids is None:
            self._root_ids = root_ids_of(records)
        return self._root_ids

    def spans(self, db: apsw.Connection, ids: NodeIds) -> Items:
        """Spans of nodes."""
        self._refresh(db)
        return self._spans.gather(db, ids)

    def embeddings(self, db: apsw.Connection, ids: NodeIds) -> Items:
        """Embeddings of nodes."""
        self._refresh(db)
        return self._embeddings.gather(db, ids)

    def keys(self, db: apsw.Connection, ids: NodeIds) -> Items:
        """Keys of nodes; those of roots come from memory."""
        self._refresh(db)
        if not len(ids) or (ids.rows[:, 1] != ids.rows[0, 1]).any():
            return self._keys.gather(db, ids)
        try:
            roots = self._roots(db, int(ids.rows[0, 1]))
        except StoreCorrupt:
            # A damaged source must not keep others from being read.
            return self._keys.gather(db, ids)
        if ids is self.root_ids(db).at_level(int(ids.rows[0, 1])):
            return roots.items
        codes_N = _codes(ids)
        places_N = np.searchsorted(roots.codes, codes_N).clip(max=max(len(roots.codes) - 1, 0))
        is_root_N = np.zeros(len(ids), bool)
        if len(roots.codes):
            is_root_N = roots.codes[places_N] == codes_N
        if not is_root_N.any():
            return self._keys.gather(db, ids)
        if is_root_N.all() and (np.diff(places_N) == 1).all():
            return roots.items[places_N[0] : places_N[-1] + 1]
        items = np.empty((len(ids), roots.items.shape[1]), np.uint8)
        items[is_root_N] = roots.items[places_N[is_root_N]]
        items[~is_root_N] = self._keys.gather(db, ids.take(~is_root_N))
        return items

    def _roots(self, db: apsw.Connection, level: int) -> _RootKeys:
        if level not in self._root_keys:
            ids = self.root_ids(db).at_level(level)
            self._root_keys[level] = _RootKeys(_codes(ids), self._keys.gather(db, ids))
        return self._root_keys[level]

    def _refresh(self, db: apsw.Connection) -> None:
        """Drop everything if this connection or another has written since."""
        seen = (db.pragma("data_version"), db.total_changes())
        if seen != self._seen:
            self.reset()
            self._seen = seen


def _codes(ids: NodeIds) -> NDArray[np.int64]:
    """Source and index of nodes of one level as one number each, in the same order."""
    return ids.rows[:, 0] << _INDEX_BITS | ids.rows[:, 2]
