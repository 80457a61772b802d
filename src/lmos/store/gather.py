"""Items of many nodes out of a store file: spans, keys and embeddings.

A block is read whole and checked when one of its nodes is first needed; from then on only the bytes
that are asked for are read, until something is written. Knows places, not what the items mean.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

import apsw
import numpy as np
from numpy.typing import NDArray

from lmos.errors import StoreCorrupt
from lmos.nodes import NodeId, NodeIds
from lmos.store.blocks import BlockLayout
from lmos.store.records import no_node
from lmos.store.tables import find_block, find_source

Items = NDArray[np.uint8]


@dataclass(frozen=True)
class _Stretches:
    """For each block that is needed, the stretch of its items from the first to the last needed.

    Attributes:
        places: `(M, 3)`: source, level and block.
        starts: `(M,)`: first item, counted from the start of the block.
        stops: `(M,)`: just after the last.
        rows: `(N,)`: where each node's item is when all stretches follow each other.
    """

    places: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    rows: NDArray[np.int64]


class BlockReader:
    """Gathers items of one kind.

    Args:
        layout: How they lie in blocks.
    """

    def __init__(self, layout: BlockLayout) -> None:
        self._layout = layout
        # Blocks that were checked: row number and size of each.
        self._checked: dict[tuple[int, ...], tuple[int, int]] = {}

    def reset(self) -> None:
        """Something was written: check every block anew."""
        self._checked.clear()

    def gather(self, db: apsw.Connection, ids: NodeIds) -> Items:
        """The items of some nodes, `(N, item_bytes)`, in the order asked for.

        Raises:
            StoreError: A node does not exist.
            StoreCorrupt: A block is damaged, or should exist and does not.
        """
        size = self._layout.item_bytes
        if not len(ids):
            return np.empty((0, size), np.uint8)
        needed = _stretches(ids, self._layout.block_items)
        places = list(map(tuple, needed.places.tolist()))
        stops = (needed.stops * size).tolist()
        row_ids = [self._row_id(db, *pair) for pair in zip(places, stops, strict=True)]
        items = np.empty((int((needed.stops - needed.starts).sum()), size), np.uint8)
        buffer, at = items.data.cast("B"), 0
        with closing(db.blob_open("main", "blocks", "data", row_ids[0], False)) as blob:
            for row_id, start, stop in zip(
                row_ids, (needed.starts * size).tolist(), stops, strict=True
            ):
                blob.reopen(row_id)
                blob.seek(start)
                blob.read_into(buffer, at, stop - start)
                at += stop - start
        is_in_order = np.array_equal(needed.rows, np.arange(len(items)))
        return items if is_in_order else items[needed.rows]

    def _row_id(self, db: apsw.Connection, place: tuple[int, ...], stop: int) -> int:
        """The row of a block, checked, that has at least `stop` bytes."""
        known = self._checked.get(place)
        if known is None:
            source_id, level, block = place
            found = find_block(db, self._layout, source_id, level, block)
            if found is not None:
                known = self._checked[place] = found[0], len(found[1])
        if known is None or known[1] < stop:
            raise self._missing(db, place, stop)
        return known[0]

    def _missing(self, db: apsw.Connection, place: tuple[int, ...], stop: int) -> Exception:
        source_id, level, block = place
        last = block * self._layout.block_items + stop // self._layout.item_bytes - 1
        node_id = NodeId(source_id, level, last)
        record = find_source(db, "source_id", source_id)
        if record is None or not 0 <= last < record.num_nodes(level):
            return no_node(node_id)
        return StoreCorrupt(f"blocks: the block of {node_id} is missing or too short")


def _stretches(ids: NodeIds, block_items: int) -> _Stretches:
    rows_N3 = ids.rows
    order_N = None if _are_in_order(rows_N3) else np.lexsort(rows_N3.T[::-1])
    rows_N3 = rows_N3 if order_N is None else rows_N3[order_N]
    blocks_N, offsets_N = np.divmod(rows_N3[:, 2], block_items)
    places_N3 = np.column_stack([rows_N3[:, :2], blocks_N])
    is_first_N = np.append(True, (places_N3[1:] != places_N3[:-1]).any(1))
    first_M = np.flatnonzero(is_first_N)
    starts_M, stops_M = offsets_N[first_M], offsets_N[np.append(first_M[1:], len(ids)) - 1] + 1
    shift_M = np.cumsum(stops_M - starts_M) - stops_M
    rows_N = shift_M[np.cumsum(is_first_N) - 1] + offsets_N
    if order_N is not None:
        rows_N[order_N] = rows_N.copy()
    return _Stretches(places_N3[first_M], starts_M, stops_M, rows_N)


def _are_in_order(rows_N3: NDArray[np.int64]) -> bool:
    """Whether nodes of one level come by source and index, as most do."""
    sources_N, levels_N, indices_N = rows_N3.T
    is_next_N = (np.diff(sources_N) > 0) | ((np.diff(sources_N) == 0) & (np.diff(indices_N) > 0))
    return bool((levels_N == levels_N[0]).all() and is_next_N.all())
