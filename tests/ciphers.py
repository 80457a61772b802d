"""Encrypted stores of tests: one key, and a way to see what lies in a file below the encryption."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from lmos.store.files import PAGE_BYTES
from lmos.store.keys import Key, unlock

KEY = Key.from_passphrase("correct horse battery staple")
OTHER_KEY = Key.from_passphrase("Tr0ub4dor&3")
PLAIN_OR_ENCRYPTED = [pytest.param(None, id="plain"), pytest.param(KEY, id="encrypted")]
PLAIN_HEAD = b"SQLite format 3\0"


def bytes_below(path: Path, key: Key | None) -> bytes:
    """The bytes of a closed store, each page where it is, without the encryption."""
    if key is None:
        return path.read_bytes()
    with closing(connected(path, key)) as db:
        pages = range(0, path.stat().st_size, PAGE_BYTES)
        content = b"".join(db.read("main", 0, page, PAGE_BYTES)[1] for page in pages)
    assert content.startswith(PLAIN_HEAD)
    return content


def connected(path: Path, key: Key | None) -> apsw.Connection:
    """What a careless user has who opens a store with a shell."""
    db = apsw.Connection(str(path))
    unlock(db, str(path), key)
    return db
