"""The tables of a store file, format by format: each step is a plain function, run once in order.

`PRAGMA user_version` is the number of steps that a file has seen, and the format version of its
manifest. docs/store-format.md says what the columns hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import apsw

from lmos.errors import StoreCorrupt, StoreMismatch
from lmos.store import tables, wordindex
from lmos.store.manifest import Manifest

APPLICATION_ID = int.from_bytes(b"lmos", "big")

_FIRST_TABLES = """
CREATE TABLE store (
    version INTEGER NOT NULL,
    next_source_id INTEGER NOT NULL,
    manifest TEXT NOT NULL,
    crc INTEGER NOT NULL
);
CREATE TABLE sources (
    source_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    time REAL,
    metadata TEXT NOT NULL,
    num_bytes INTEGER NOT NULL,
    num_tokens INTEGER NOT NULL,
    num_windows INTEGER NOT NULL,
    level_counts TEXT NOT NULL,
    parent_counts TEXT NOT NULL,
    crc INTEGER NOT NULL
);
CREATE TABLE windows (
    source_id INTEGER NOT NULL REFERENCES sources ON DELETE CASCADE,
    window INTEGER NOT NULL,
    byte_start INTEGER NOT NULL,
    byte_stop INTEGER NOT NULL,
    is_sealed INTEGER NOT NULL,
    num_nodes INTEGER NOT NULL,
    token_ids BLOB NOT NULL,
    token_bytes BLOB NOT NULL,
    crc INTEGER NOT NULL,
    PRIMARY KEY (source_id, window)
);
CREATE TABLE blocks (
    source_id INTEGER NOT NULL REFERENCES sources ON DELETE CASCADE,
    level INTEGER NOT NULL,
    kind TEXT NOT NULL,
    block INTEGER NOT NULL,
    data BLOB NOT NULL,
    crc INTEGER NOT NULL,
    PRIMARY KEY (source_id, level, kind, block)
);
"""


def create_first_tables(db: apsw.Connection) -> None:
    """Format 1."""
    db.execute(_FIRST_TABLES)


_WINDOW_INDEX = """
CREATE INDEX IF NOT EXISTS windows_by_ends
ON windows (substr(token_ids, 1, 32), substr(token_ids, -32))
"""


def index_words(db: apsw.Connection) -> None:
    """Format 2: the words of the leaves are indexed."""
    wordindex.rebuild(db)
    _write_version(db, 2)


_PLACES = """
CREATE TABLE places (
    source_id INTEGER PRIMARY KEY REFERENCES sources ON DELETE CASCADE,
    places TEXT NOT NULL,
    crc INTEGER NOT NULL
);
"""


def keep_places(db: apsw.Connection) -> None:
    """Format 3: where in its original the text of a source comes from."""
    db.execute(_PLACES)
    query = "SELECT source_id FROM sources WHERE typeof(source_id) = 'integer'"
    source_ids: list[int] = [source_id for (source_id,) in db.execute(query)]
    for source_id in source_ids:
        tables.write_places(db, source_id, ())
    _write_version(db, 3)


def _write_version(db: apsw.Connection, number: int) -> None:
    """Note the format in the manifest, if there is one yet."""
    if db.execute("SELECT 1 FROM store").fetchone() is not None:
        head = tables.read_head(db)
        manifest = replace(Manifest.from_json(head.manifest), format_version=number)
        tables.write_head(db, replace(head, manifest=manifest.to_json()))


MIGRATIONS: tuple[Callable[[apsw.Connection], None], ...] = (
    create_first_tables,
    index_words,
    keep_places,
)
_OPTIONAL = {index_words, keep_places}
"""Steps without which a file can be read, and be written to when there is no room for them."""


def migrate(db: apsw.Connection) -> None:
    """Run the steps that the file has not seen, inside the caller's transaction."""
    done = db.pragma("user_version")
    for number, step in enumerate(MIGRATIONS[done:], done + 1):
        step(db)
        db.pragma("user_version", number)


def index_windows(db: apsw.Connection) -> None:
    """Have windows found by how they begin and end. No content, so no format of its own."""
    db.execute(_WINDOW_INDEX)


def is_readable(db: apsw.Connection, path: str) -> bool:
    """Whether the file has all that a reader needs; raises as `is_current` does."""
    return is_current(db, path) or _OPTIONAL.issuperset(MIGRATIONS[db.pragma("user_version") :])


def is_current(db: apsw.Connection, path: str) -> bool:
    """Whether the file has the newest format.

    Raises:
        StoreCorrupt: An SQLite file, but not a context store.
        StoreMismatch: A newer format than this lmos knows.
    """
    if db.pragma("application_id") != APPLICATION_ID:
        raise StoreCorrupt(f"{path} is an SQLite file, but not a context store of lmos")
    version = db.pragma("user_version")
    if version > len(MIGRATIONS):
        raise StoreMismatch(
            f"{path} has format {version}, this lmos reads up to {len(MIGRATIONS)}; upgrade lmos"
        )
    if version < 1:
        raise StoreCorrupt(f"{path} has format {version}, expected 1..{len(MIGRATIONS)}")
    return bool(version == len(MIGRATIONS))
