"""From a path to a connection: makes store files whole or not at all, and opens them.

Knows paths, pragmas and permissions. Does not know what the tables hold.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import apsw

from lmos.errors import (
    StoreCorrupt,
    StoreError,
    StoreExists,
    StoreLocked,
    StoreMismatch,
    StoreNotFound,
)
from lmos.store.faults import store_errors
from lmos.store.keys import Key, lock, unlock, write_copy
from lmos.store.migrations import APPLICATION_ID, index_windows, is_current, is_readable, migrate

PAGE_BYTES = 16 * 1024
BUSY_MILLISECONDS = 2000
LOG_BYTES = 64 * 1024 * 1024
# Of pages in memory: holds the inner pages of the tables of a store of tens of millions of tokens.
CACHE_KIBIBYTES = 16 * 1024
INDEX_SUFFIX = "-index"
_SIDE_FILES = ("-wal", "-shm", "-journal")


def require_free(path: Path) -> None:
    """Check that a store can be made at the path.

    Raises:
        StoreExists: There is something already.
        StoreError: The folder is missing.
    """
    if not path.name:
        raise StoreError(f"expected the path of a file for the new store, got {path}")
    if not path.parent.is_dir():
        raise StoreError(f"expected a folder {path.parent} for the new store; make it first")
    for taken in (path, *_beside(path)):
        if os.path.lexists(taken):
            raise StoreExists(f"there is something at {taken}; choose another path or move it away")


def require_store(path: Path) -> None:
    """Check that a file is at the path.

    Raises:
        StoreNotFound: Nothing is.
        StoreError: A folder is.
    """
    if path.is_dir():
        raise StoreError(f"{path} is a folder, expected the file of a context store")
    if not path.exists():
        raise StoreNotFound(f"there is no context store at {path}; create one first")


def create_file(
    path: Path, fill: Callable[[apsw.Connection], None], key: Key | None = None
) -> None:
    """Make a store at the path: whole when this returns, absent when it raises or is killed.

    Args:
        path: Must be free; the caller holds the writer lock.
        fill: Writes the first rows.
        key: To encrypt it with.
    """
    draft = path.with_name(path.name + "-new")
    remove_files(draft)
    try:
        db = apsw.Connection(str(draft))
        try:
            with store_errors(str(path), db):
                if key is not None:
                    lock(db, key)
                _write_first_pages(db, fill)
        finally:
            db.close()
        # Of a store that was at the path before.
        remove_indexes(path)
        move_file(draft, path)
    finally:
        remove_files(draft)


def move_file(draft: Path, path: Path) -> None:
    """Put a closed store at a path, at once, whether there is one already or not."""
    # The log of the store that was there is gone for good before another store has its name.
    _sync_folder(path.parent)
    os.replace(draft, path)
    _sync_folder(path.parent)


def fold_log(db: apsw.Connection, path: str) -> None:
    """Leave nothing beside a store, so that another file can take its place.

    Raises:
        StoreLocked: Another process has the store open.
    """
    try:
        db.pragma("journal_mode", "delete")
    except apsw.BusyError as error:
        raise StoreLocked(f"another process reads {path}; close it there and try again") from error


def remove_files(path: Path) -> None:
    """Remove a store that nobody has open, and what SQLite keeps beside it, if they are there."""
    for name in (path, *_beside(path)):
        name.unlink(missing_ok=True)


def copy_file(path: Path, key: Key | None, draft: Path, draft_key: Key | None) -> None:
    """Write a store that nobody changes meanwhile to another file, with another key or none.

    Args:
        path: Of the store.
        key: What it is encrypted with.
        draft: Must not exist; whole and on the disk when this returns.
        draft_key: What the copy is encrypted with.
    """
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI
    db = apsw.Connection(path.absolute().as_uri(), flags=flags)
    try:
        with store_errors(str(path), db):
            unlock(db, str(path), key)
            write_copy(db, draft, draft_key)
    finally:
        db.close()
    # It comes in another journal mode, and SQLite does not sync it; this does both.
    connect_to_write(draft, draft_key).close()
    _sync_file(draft)


def connect_to_write(path: Path, key: Key | None = None) -> apsw.Connection:
    """Open a store to write to it, in the newest format; the caller holds the writer lock.

    Args:
        path: Of the store.
        key: What it is encrypted with.

    Raises:
        StoreError: Or a kind of it: the file is not a store, damaged, too new, or locked.
    """
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        with store_errors(str(path), db):
            db.set_busy_timeout(BUSY_MILLISECONDS)
            unlock(db, str(path), key)
            db.pragma("cache_size", -CACHE_KIBIBYTES)
            # SQLite does not encrypt temporary files, so an encrypted store has none.
            db.pragma("temp_store", "file" if key is None else "memory")
            is_newest = is_current(db, str(path))
            db.pragma("journal_mode", "wal")
            db.pragma("synchronous", "full")
            db.pragma("foreign_keys", True)
            db.pragma("secure_delete", True)
            db.pragma("journal_size_limit", LOG_BYTES)
            if not is_newest:
                _migrate(db, str(path))
        # A store that is damaged or has no room opens without, to be repaired or to forget.
        with suppress(apsw.Error):
            index_windows(db)
    except BaseException:
        db.close()
        raise
    return db


def connect_to_read(path: Path, key: Key | None = None) -> apsw.Connection:
    """Open a store to read from it, beside a writer or alone, even in a read-only folder.

    The file is opened so that the last reader can remove SQLite's side files, but no statement
    can change it.

    Args:
        path: Of the store.
        key: What it is encrypted with.

    Raises:
        StoreError: Or a kind of it: the file is not a store, damaged, too new or too old.
    """
    try:
        return _readable(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE), path, key)
    except StoreError as error:
        if not isinstance(error.__cause__, apsw.CantOpenError | apsw.ReadOnlyError):
            raise
        log = _beside(path)[0]
        if log.exists() and log.stat().st_size:
            raise StoreError(
                f"{log} has changes that were not folded into {path}, and its folder is read-only; "
                "make the folder writable, or copy both files to one that is"
            ) from error
    # Without a log the file alone is the store. It is then read without locks, so whoever has the
    # right to write in this folder should not do so meanwhile.
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    db = apsw.Connection(f"{path.absolute().as_uri()}?immutable=1", flags=flags)
    return _readable(db, path, key)


def _readable(db: apsw.Connection, path: Path, key: Key | None) -> apsw.Connection:
    try:
        with store_errors(str(path), db):
            db.set_busy_timeout(BUSY_MILLISECONDS)
            unlock(db, str(path), key)
            db.pragma("temp_store", "file" if key is None else "memory")
            db.pragma("cache_size", -CACHE_KIBIBYTES)
            db.pragma("query_only", True)
            if not is_readable(db, str(path)):
                raise StoreMismatch(f"{path} has an older format; open it once for writing")
    except BaseException:
        db.close()
        raise
    return db


def _migrate(db: apsw.Connection, path: str) -> None:
    try:
        with db:
            migrate(db)
    except (apsw.CorruptError, apsw.FullError, StoreCorrupt):
        # One that can be used as it is opens, to be repaired or to forget.
        if not is_readable(db, path):
            raise


def _write_first_pages(db: apsw.Connection, fill: Callable[[apsw.Connection], None]) -> None:
    db.pragma("page_size", PAGE_BYTES)
    db.pragma("application_id", APPLICATION_ID)
    db.pragma("synchronous", "full")
    with db:
        migrate(db)
        index_windows(db)
        fill(db)
    db.pragma("journal_mode", "wal")


def remove_indexes(path: Path) -> None:
    """Remove what `search.vectorindex` made of a store: what it forgets must not stay there."""
    # Twice, since a file that gets its final name meanwhile can be missed, but only once.
    for _ in range(2):
        for index in path.parent.glob(f"{glob.escape(path.name + INDEX_SUFFIX)}[0-9]*-*"):
            index.unlink(missing_ok=True)


def _beside(path: Path) -> list[Path]:
    """Files that SQLite keeps beside a store; the write-ahead log first."""
    return [path.with_name(path.name + suffix) for suffix in _SIDE_FILES]


def _sync_file(path: Path) -> None:
    """Have a closed file on the disk."""
    with path.open("rb+") as file:
        os.fsync(file)


def _sync_folder(folder: Path) -> None:
    # Some file systems cannot sync a folder; the file itself is synced all the same.
    with suppress(OSError):
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
