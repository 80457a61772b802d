"""Rows of a store file: reads and writes them one kind at a time, each with its checksum.

Every function works inside the caller's transaction. Knows the columns; does not know which rows
belong together. docs/store-format.md says the same for people without this code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import apsw
import numpy as np

from lmos.errors import StoreCorrupt, StoreFull
from lmos.nodes import Source, Span
from lmos.store.base import WindowPlace, WindowRecord
from lmos.store.blocks import BlockLayout, row_crc
from lmos.store.places import Places, places_from_json, places_to_json
from lmos.store.records import SourceRecord

_SOURCE_COLUMNS = (
    "source_id, name, time, metadata, num_bytes, num_tokens, num_windows, level_counts, "
    "parent_counts"
)
_WINDOW_COLUMNS = (
    "source_id, window, byte_start, byte_stop, is_sealed, num_nodes, token_ids, token_bytes"
)
# In the words of the index `windows_by_ends`, so that SQLite uses it.
FIND_WINDOW = f"""SELECT {_WINDOW_COLUMNS}, crc FROM windows WHERE token_ids = ?1
                  AND substr(token_ids, 1, 32) = substr(?1, 1, 32)
                  AND substr(token_ids, -32) = substr(?1, -32)"""


@dataclass(frozen=True)
class Head:
    """The one row that is about the whole store.

    Attributes:
        version: Grows with every change.
        next_source_id: Larger than every id that was ever given.
        manifest: As JSON.
    """

    version: int
    next_source_id: int
    manifest: str


def read_head(db: apsw.Connection) -> Head:
    """The row about the store."""
    rows = db.execute("SELECT version, next_source_id, manifest, crc FROM store").fetchall()
    if len(rows) != 1:
        raise StoreCorrupt(f"store: expected one row, got {len(rows)}")
    return Head(*_checked("store", rows[0]))


def write_head(db: apsw.Connection, head: Head) -> None:
    """Replace the row about the store."""
    columns = (head.version, head.next_source_id, head.manifest)
    db.execute("DELETE FROM store")
    db.execute("INSERT INTO store VALUES (?, ?, ?, ?)", (*columns, row_crc(columns)))


def iter_sources(db: apsw.Connection) -> Iterator[SourceRecord]:
    """All sources, in order of creation."""
    for row in db.execute(f"SELECT {_SOURCE_COLUMNS}, crc FROM sources ORDER BY source_id"):
        yield _record_from_row(row)


def read_source_ids(db: apsw.Connection) -> list[int]:
    """Ids of all sources, in order, and of those that have left windows but no row of their own."""
    query = "SELECT source_id FROM sources WHERE typeof(source_id) = 'integer'"
    ids = [source_id for (source_id,) in db.execute(query)]
    query = """SELECT DISTINCT source_id FROM windows WHERE typeof(source_id) = 'integer'
               AND source_id NOT IN (SELECT source_id FROM sources)"""
    strays = [source_id for (source_id,) in db.execute(query)]
    return sorted(ids + [source_id for source_id in strays if _has_window(db, source_id)])


def _has_window(db: apsw.Connection, source_id: int) -> bool:
    """Whether a row of `windows` with its checksum is of the source."""
    try:
        query = f"SELECT {_WINDOW_COLUMNS}, crc FROM windows WHERE source_id = ? ORDER BY window"
        row = db.execute(query, (source_id,)).fetchone()
        return row is not None and bool(_window_from_row(row))
    except (StoreCorrupt, UnicodeDecodeError, apsw.CorruptError):
        return False


def find_source(db: apsw.Connection, column: str, value: str | int) -> SourceRecord | None:
    """The source whose `name` or `source_id` has the value."""
    query = f"SELECT {_SOURCE_COLUMNS}, crc FROM sources WHERE {column} = ?"
    row = db.execute(query, (value,)).fetchone()
    return None if row is None else _record_from_row(row)


def find_source_named(db: apsw.Connection, name: str) -> SourceRecord | None:
    """The source of a name.

    Raises:
        StoreCorrupt: There is one, but the index of names does not know it.
    """
    record = find_source(db, "name", name)
    if record is None:
        query = "SELECT source_id FROM sources NOT INDEXED WHERE name = ?"
        for (source_id,) in db.execute(query, (name,)):
            raise StoreCorrupt(f"sources: source {source_id} is missing in the index of names")
    return record


def write_source(db: apsw.Connection, record: SourceRecord) -> None:
    """Insert or replace a source, without touching its rows in other tables."""
    source = record.source
    columns = (
        source.source_id,
        source.name,
        source.time,
        json.dumps(dict(source.metadata)),
        source.num_bytes,
        source.num_tokens,
        record.num_windows,
        json.dumps(source.level_counts),
        json.dumps(record.parent_counts),
    )
    names = f"{_SOURCE_COLUMNS}, crc"
    updates = ", ".join(f"{name} = excluded.{name}" for name in names.split(", "))
    db.execute(
        f"INSERT INTO sources ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        f"ON CONFLICT (source_id) DO UPDATE SET {updates}",
        (*columns, row_crc(columns)),
    )


def has_places(db: apsw.Connection) -> bool:
    """Whether the file has a table of places; those before format 3 have none."""
    query = "SELECT 1 FROM sqlite_schema WHERE name = 'places'"
    return db.execute(query).fetchone() is not None


def write_places(db: apsw.Connection, source_id: int, places: Places) -> None:
    """Replace the places of a source; every source has a row, be it empty.

    Raises:
        StoreFull: The file has no table of places, for lack of room.
    """
    if not has_places(db):
        if places:
            raise StoreFull("places: the store was too full to get this table; make room first")
        return
    columns = (source_id, places_to_json(places))
    db.execute("INSERT OR REPLACE INTO places VALUES (?, ?, ?)", (*columns, row_crc(columns)))


def read_places(db: apsw.Connection, source_id: int) -> Places:
    """The places of a source, which must exist.

    Raises:
        StoreCorrupt: Their row is not there, or the checksum is wrong.
    """
    if not has_places(db):
        return ()
    query = "SELECT source_id, places, crc FROM places WHERE source_id = ?"
    row = db.execute(query, (source_id,)).fetchone()
    if row is None:
        raise StoreCorrupt(f"places: source {source_id} lacks its row")
    return places_from_json(_checked(f"places: source {source_id}", row)[1])


def delete_source(db: apsw.Connection, source_id: int) -> None:
    """Remove a source and, through its foreign keys, all its rows."""
    db.execute("DELETE FROM sources WHERE source_id = ?", (source_id,))


def read_windows(db: apsw.Connection, source_id: int, start: int, stop: int) -> list[WindowRecord]:
    """Windows of a source from a number on to the last, which is the one before `stop`.

    Raises:
        StoreCorrupt: They are not all there, or a checksum is wrong.
    """
    query = f"""SELECT {_WINDOW_COLUMNS}, crc FROM windows
                WHERE source_id = ? AND window >= ? ORDER BY window"""
    rows = db.execute(query, (source_id, start)).fetchall()
    if [row[1] for row in rows] != list(range(start, stop)):
        raise _missing_windows(source_id, stop)
    return [_window_from_row(row) for row in rows]


def read_open_windows(db: apsw.Connection, source_id: int, stop: int) -> list[WindowRecord]:
    """The windows after the last sealed one of a source; the last is the one before `stop`.

    Raises:
        StoreCorrupt: They are not all there, or a checksum is wrong.
    """
    query = f"""SELECT {_WINDOW_COLUMNS}, crc FROM windows
                WHERE source_id = ? ORDER BY window DESC"""
    windows: list[WindowRecord] = []
    rows = db.execute(query, (source_id,))
    for number in range(stop - 1, -1, -1):
        row = next(rows, None)
        if row is None or row[1] != number:
            raise _missing_windows(source_id, stop)
        window = _window_from_row(row)
        if window.is_sealed:
            break
        windows.insert(0, window)
    return windows


def find_window(db: apsw.Connection, token_ids: Sequence[int]) -> WindowPlace | None:
    """A place where a window of just these tokens stands; rows that are damaged are passed over."""
    for row in db.execute(FIND_WINDOW, (_token_blob(token_ids),)):
        with suppress(StoreCorrupt):
            return WindowPlace(row[0], _window_from_row(row).byte_span)
    return None


def _missing_windows(source_id: int, stop: int) -> StoreCorrupt:
    return StoreCorrupt(
        f"windows: source {source_id} lacks some of its windows, expected 0 to {stop - 1}"
    )


def splice_windows(
    db: apsw.Connection, source_id: int, start: int, windows: Sequence[WindowRecord]
) -> None:
    """Replace the windows of a source from a number on."""
    db.execute("DELETE FROM windows WHERE source_id = ? AND window >= ?", (source_id, start))
    for number, window in enumerate(windows, start):
        begin, stop = window.byte_span
        columns = (source_id, number, begin, stop, int(window.is_sealed), window.num_nodes)
        blobs = (
            _token_blob(window.token_ids),
            (np.array(window.token_bytes, dtype=np.int64) - begin).astype("<u4").tobytes(),
        )
        db.execute(
            f"INSERT INTO windows ({_WINDOW_COLUMNS}, crc) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*columns, *blobs, row_crc(columns, *blobs)),
        )


def _token_blob(token_ids: Sequence[int]) -> bytes:
    return np.array(token_ids, dtype="<u4").tobytes()


def read_block(
    db: apsw.Connection, layout: BlockLayout, source_id: int, level: int, block: int
) -> bytes | None:
    """The data of one block, or `None` if there is none."""
    found = find_block(db, layout, source_id, level, block)
    return None if found is None else found[1]


def find_block(
    db: apsw.Connection, layout: BlockLayout, source_id: int, level: int, block: int
) -> tuple[int, bytes] | None:
    """Row number and data of one block, or `None` if there is none."""
    query = """SELECT rowid, data, crc FROM blocks
               WHERE source_id = ? AND level = ? AND kind = ? AND block = ?"""
    place = (source_id, level, layout.kind, block)
    row = db.execute(query, place).fetchone()
    if row is None:
        return None
    *_, data = _checked(f"blocks {place}", (*place, *row[1:]), num_blobs=1)
    return row[0], bytes(data)


def read_items(
    db: apsw.Connection, layout: BlockLayout, source_id: int, level: int, start: int, stop: int
) -> bytes:
    """The items `[start, stop)`, which must exist.

    Raises:
        StoreCorrupt: They do not, or a checksum is wrong.
    """
    parts = []
    for block in layout.iter_blocks(start, stop):
        first = block * layout.block_items
        begin = max(start - first, 0) * layout.item_bytes
        end = min(stop - first, layout.block_items) * layout.item_bytes
        data = read_block(db, layout, source_id, level, block)
        if data is None or len(data) < end:
            place = (source_id, level, layout.kind, block)
            raise StoreCorrupt(f"blocks {place}: missing or shorter than {end} bytes")
        parts.append(data[begin:end])
    return b"".join(parts)


def splice_items(
    db: apsw.Connection, layout: BlockLayout, source_id: int, level: int, start: int, items: bytes
) -> None:
    """Replace the items from `start` on; only blocks from that of `start` on are rewritten."""
    block, num_kept = divmod(start, layout.block_items)
    items = read_items(db, layout, source_id, level, start - num_kept, start) + items
    db.execute(
        "DELETE FROM blocks WHERE source_id = ? AND level = ? AND kind = ? AND block >= ?",
        (source_id, level, layout.kind, block),
    )
    size = layout.block_items * layout.item_bytes
    for number, begin in enumerate(range(0, len(items), size), block):
        place, data = (source_id, level, layout.kind, number), items[begin : begin + size]
        db.execute(
            "INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?)", (*place, data, row_crc(place, data))
        )


def _checked(place: str, row: tuple[Any, ...], num_blobs: int = 0) -> tuple[Any, ...]:
    """A row without its checksum, which must be right; blobs come last."""
    *columns, crc = row
    num_plain = len(columns) - num_blobs
    try:
        is_good = row_crc(tuple(columns[:num_plain]), *columns[num_plain:]) == crc
    except TypeError:
        is_good = False
    if not is_good:
        raise StoreCorrupt(
            f"{place}: the row does not have its checksum, repair the store or use a copy"
        )
    return tuple(columns)


def _record_from_row(row: tuple[Any, ...]) -> SourceRecord:
    row = _checked(f"sources: source {row[0]}", row)
    source_id, name, time, metadata, num_bytes, num_tokens, num_windows, counts, parents = row
    level_counts = tuple(json.loads(counts))
    source = Source(
        source_id, name, time, json.loads(metadata), num_bytes, num_tokens, level_counts
    )
    return SourceRecord(source, num_windows, tuple(json.loads(parents)))


def _window_from_row(row: tuple[Any, ...]) -> WindowRecord:
    row = _checked(f"windows: source {row[0]}, window {row[1]}", row, num_blobs=2)
    _, _, start, stop, is_sealed, num_nodes, token_ids, token_bytes = row
    return WindowRecord(
        token_ids=tuple(np.frombuffer(token_ids, dtype="<u4").tolist()),
        token_bytes=tuple((np.frombuffer(token_bytes, dtype="<u4") + np.int64(start)).tolist()),
        byte_span=Span(start, stop),
        is_sealed=bool(is_sealed),
        num_nodes=num_nodes,
    )
