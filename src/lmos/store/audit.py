"""Looks through a whole store file for faults: pages, checksums, rows that lack or are too many.

Runs inside the caller's read transaction and repairs nothing. The laws of the tree itself are in
`lmos.store.invariants`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import apsw
import numpy as np

from lmos.errors import StoreError
from lmos.store import wordindex
from lmos.store.blocks import (
    SPANS,
    TEXT,
    BlockLayout,
    embeddings_layout,
    keys_layout,
    spans_from_bytes,
    vectors_from_items,
)
from lmos.store.faults import store_errors
from lmos.store.invariants import TreeTail, find_faults
from lmos.store.manifest import Manifest
from lmos.store.places import iter_faults
from lmos.store.records import SourceRecord
from lmos.store.tables import find_source, read_block, read_head, read_places, read_windows


def find_store_faults(db: apsw.Connection, path: str, manifest: Manifest) -> list[str]:
    """Every fault of a store, one sentence each.

    Args:
        db: The store, in a transaction.
        path: For messages.
        manifest: What the store said when it was opened.
    """
    faults: list[str] = []
    with _noting(faults, path, db):
        wordindex.refresh(db)
        checks = db.execute("PRAGMA integrity_check")
        faults.extend(f"{path}: {found}" for (found,) in checks if found != "ok")
    with _noting(faults, path, db):
        for table, row, _, _ in db.execute("PRAGMA foreign_key_check"):
            faults.append(f"{table}: row {row} belongs to no source")
    next_source_id = 0
    with _noting(faults, path, db):
        head = read_head(db)
        next_source_id = head.next_source_id
        found = Manifest.from_json(head.manifest)
        if replace(found, max_bytes=manifest.max_bytes) != manifest:
            faults.append("store: the manifest has changed since the store was opened")
    source_ids: list[int] = []
    with _noting(faults, path, db):
        query = "SELECT source_id FROM sources ORDER BY source_id"
        source_ids = [source_id for (source_id,) in db.execute(query)]
    for source_id in source_ids:
        if not isinstance(source_id, int):
            faults.append(f"sources: {source_id!r} is no id")
            continue
        with _noting(faults, f"{path}, source {source_id}", db):
            record = find_source(db, "source_id", source_id)
            if record is None or record.source.source_id >= next_source_id:
                faults.append(f"sources: id {source_id} cannot be, the next is {next_source_id}")
            else:
                faults.extend(_find_source_faults(db, path, manifest, record))
    if not faults:
        with _noting(faults, path, db):
            faults.extend(wordindex.find_faults(db))
    return faults


def _find_source_faults(
    db: apsw.Connection, path: str, manifest: Manifest, record: SourceRecord
) -> list[str]:
    faults: list[str] = []
    source_id = record.source.source_id
    query = "SELECT level, kind, block FROM blocks WHERE source_id = ?"
    extra = set(db.execute(query, (source_id,)))
    spans = [[np.empty((0, 4), np.int64)] for _ in record.source.level_counts]
    for layout, level, count in _iter_parts(manifest, record):
        for block in layout.iter_blocks(0, count):
            extra.discard((level, layout.kind, block))
            num_items = min(count - block * layout.block_items, layout.block_items)
            with _noting(faults, path, db):
                data = read_block(db, layout, source_id, level, block) or b""
                if fault := _find_block_fault(layout, data, num_items, manifest.dtype):
                    faults.append(f"blocks {(source_id, level, layout.kind, block)}: {fault}")
                elif layout == SPANS:
                    spans[level - 1].append(spans_from_bytes(data))
    for key in sorted(extra, key=str):
        faults.append(f"blocks {(source_id, *key)}: beyond the end of the source")
    with _noting(faults, path, db):
        for fault in iter_faults(read_places(db, source_id), record.source.num_bytes):
            faults.append(f"places: source {source_id}: {fault}")
    windows = read_windows(db, source_id, 0, record.num_windows)
    if not faults:
        levels = tuple(np.concatenate(parts) for parts in spans)
        faults.extend(find_faults(record, TreeTail(0, 0, 0, windows, (0,) * len(levels), levels)))
    return faults


def _iter_parts(manifest: Manifest, record: SourceRecord) -> Iterator[tuple[BlockLayout, int, int]]:
    """Every kind of items that a source has: layout, level, count."""
    yield TEXT, 0, record.source.num_bytes
    for level, count in enumerate(record.source.level_counts, 1):
        yield SPANS, level, count
        yield keys_layout(manifest), level, count
        yield embeddings_layout(manifest), level, count


def _find_block_fault(layout: BlockLayout, data: bytes, num_items: int, dtype: str) -> str | None:
    if len(data) != num_items * layout.item_bytes:
        return f"expected {num_items * layout.item_bytes} bytes, got {len(data)}"
    if layout in (TEXT, SPANS):
        return None
    items = np.frombuffer(bytearray(data), dtype=np.uint8).reshape(-1, layout.item_bytes)
    return None if vectors_from_items(items, dtype).isfinite().all() else "numbers are not finite"


@contextmanager
def _noting(faults: list[str], path: str, db: apsw.Connection) -> Iterator[None]:
    """Note a store error that ends the work inside, and go on after it."""
    try:
        with store_errors(path, db):
            yield
    except StoreError as error:
        faults.append(str(error))
