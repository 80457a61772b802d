"""The index of words in a store file: in which leaves each word stands, kept by SQLite's FTS5.

It holds nothing that the text does not, and no text. A leaf can only be taken out while its text is
still there. Every function works inside the caller's transaction; a file of format 1 has no index,
and nothing is written then. docs/store-format.md says the same for people without this code.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from itertools import chain

import apsw
import numpy as np
from numpy.typing import NDArray

from lmos.errors import StoreCorrupt
from lmos.nodes import NodeIds
from lmos.store.blocks import SPANS, TEXT, spans_from_bytes
from lmos.store.lexical import REACH_BYTES, Codes, WordPlaces, iter_leaf_words, leaf_code
from lmos.store.lexical import score_leaves as score_places
from lmos.store.records import SourceRecord
from lmos.store.tables import find_source, iter_sources, read_items, read_source_ids

_TABLES = """
CREATE VIRTUAL TABLE words USING fts5(
    leaf, content='', columnsize=0, detail=none, tokenize='ascii'
);
CREATE VIRTUAL TABLE word_counts USING fts5vocab(words, row);
CREATE VIRTUAL TABLE word_places USING fts5vocab(words, instance);
INSERT INTO words(words, rank) VALUES ('secure-delete', 1);
"""
_INSERT = "INSERT INTO words(rowid, leaf) VALUES (?, ?)"
_DELETE = "INSERT INTO words(words, rowid, leaf) VALUES ('delete', ?, ?)"
_CENSUS = """SELECT term, count(*), sum(doc >> 32), sum(doc & 4294967295)
             FROM word_places GROUP BY term"""


def rebuild(db: apsw.Connection) -> None:
    """Make the index anew, of every source whose text can be read."""
    for table in ("word_places", "word_counts", "words"):
        db.execute(f"DROP TABLE IF EXISTS {table}")
    db.execute(_TABLES)
    for source_id in read_source_ids(db):
        with suppress(StoreCorrupt, UnicodeDecodeError):
            record = find_source(db, "source_id", source_id)
            if record is not None:
                insert_leaves(db, record, 0)


def exists(db: apsw.Connection) -> bool:
    """Whether the file has an index."""
    query = "SELECT 1 FROM sqlite_schema WHERE name = 'words'"
    return db.execute(query).fetchone() is not None


def refresh(db: apsw.Connection) -> None:
    """See what other connections wrote: a query does, the check of the index alone does not."""
    if exists(db):
        db.execute("SELECT 1 FROM words WHERE words MATCH 'x' LIMIT 1").fetchall()


def insert_leaves(db: apsw.Connection, record: SourceRecord, start: int) -> None:
    """Put the leaves of a source in, from a number on."""
    if exists(db):
        db.executemany(_INSERT, list(_iter_rows(db, record, start)))


def delete_leaves(db: apsw.Connection, record: SourceRecord, start: int) -> None:
    """Take the leaves of a source out, from a number on; their text is not changed yet."""
    if exists(db):
        db.executemany(_DELETE, list(_iter_rows(db, record, start)))


def score_leaves(
    db: apsw.Connection,
    question: str,
    sizes: Mapping[int, int],
    named: Mapping[str, Collection[int]],
    limit: int,
    source_ids: Collection[int] | None,
) -> tuple[NodeIds, NDArray[np.float32]]:
    """Leaves that share words with a question, see `lmos.store.lexical`; none without an index.

    Args:
        db: Of the file.
        question: Any text.
        sizes: Of every source, in how many leaves it is.
        named: Sources by the words of their names.
        limit: At most so many leaves are returned.
        source_ids: Only leaves of these; `None` for all.
    """
    places = WordPlaces(
        num_leaves=sum(sizes.values()),
        size=lambda source_id: sizes.get(source_id, 1),
        named=lambda word: named.get(word, ()),
        count=lambda word: _count(db, word),
        codes=lambda word: _codes(db, word),
    )
    return score_places(question if exists(db) else "", places, limit, source_ids)


def find_faults(db: apsw.Connection) -> Iterator[str]:
    """Where the index is not what the texts say."""
    if not exists(db):
        return
    census: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for record in iter_sources(db):
        for code, text in _iter_rows(db, record, 0):
            for word in set(text.split()):
                sums = census[word]
                sums[0] += 1
                sums[1] += code >> 32
                sums[2] += code & 0xFFFFFFFF
    found = {word: sums for word, *sums in db.execute(_CENSUS)}
    for what, few, many in (
        ("lacks leaves", found, census),
        ("has too many leaves", census, found),
    ):
        wrong = [word for word, sums in many.items() if few.get(word, [0])[0] < sums[0]]
        if wrong:
            yield f"words: the index {what} of {len(wrong)} words, such as {min(wrong)!r}"
    moved = [word for word, sums in census.items() if sums[0] == found.get(word, [0])[0]]
    if any(found[word] != census[word] for word in moved):
        yield "words: the index has words in other leaves than they are"


def _iter_rows(db: apsw.Connection, record: SourceRecord, start: int) -> Iterator[tuple[int, str]]:
    """Leaves of a source from a number on: code and words."""
    source_id, stop = record.source.source_id, record.num_nodes(1)
    if start >= stop:
        return
    spans = spans_from_bytes(read_items(db, SPANS, source_id, 1, start, stop))
    first = max(int(spans[0, 2]) - REACH_BYTES, 0)
    text = read_items(db, TEXT, source_id, 0, first, record.source.num_bytes)
    for index, words in enumerate(iter_leaf_words(text, first, spans), start):
        yield leaf_code(source_id, index), " ".join(words)


def _count(db: apsw.Connection, word: str) -> int:
    row = db.execute("SELECT doc FROM word_counts WHERE term = ?", (word,)).fetchone()
    return 0 if row is None else int(row[0])


def _codes(db: apsw.Connection, word: str) -> Codes:
    rows = db.execute("SELECT rowid FROM words WHERE words MATCH ?", (f'"{word}"',))
    return np.fromiter(chain.from_iterable(rows), np.int64)
