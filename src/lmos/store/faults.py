"""What SQLite and the operating system complain of, in the words of `lmos.errors`.

The only place that knows their error codes.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from lmos.errors import StoreCorrupt, StoreError, StoreFull, StoreLocked

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def store_errors(path: str, db: apsw.Connection | None = None) -> Iterator[None]:
    """Raise what goes wrong inside as a `StoreError` that names the file.

    Args:
        path: For the message.
        db: The connection in use; it tells a full disk from a broken one.
    """
    try:
        yield
    except apsw.Error as error:
        raise _from_sqlite(path, error, db) from error
    except OSError as error:
        raise _from_system(path, error) from error
    except UnicodeDecodeError as error:
        raise StoreCorrupt(f"{path}: a stored text is not UTF-8: {error}") from error


def _from_sqlite(path: str, error: apsw.Error, db: apsw.Connection | None) -> StoreError:
    if isinstance(error, apsw.ConnectionClosedError):
        return StoreError(f"{path} is closed; open it again")
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return StoreLocked(f"another process writes to {path}; try again when it is done")
    if isinstance(error, apsw.FullError) or _has_no_room(error, db):
        return StoreFull(f"no room on the disk of {path}; nothing was written: {error}")
    if isinstance(error, apsw.NotADBError):
        return StoreCorrupt(f"{path} is not an SQLite file, so not a context store")
    if isinstance(error, apsw.CorruptError | apsw.SQLError | apsw.ConstraintError):
        return StoreCorrupt(f"{path} is damaged, repair it or restore it from a copy: {error}")
    if isinstance(error, apsw.ReadOnlyError | apsw.PermissionsError):
        return StoreError(f"{path} cannot be written, it is open or stored read-only: {error}")
    if isinstance(error, apsw.CantOpenError):
        return StoreError(f"{path} or its folder cannot be opened; check the permissions: {error}")
    return StoreError(f"{path} cannot be used: {error}")


def _has_no_room(error: apsw.Error, db: apsw.Connection | None) -> bool:
    if not isinstance(error, apsw.IOError) or db is None:
        return False
    return (
        getattr(error, "extendedresult", None) == apsw.SQLITE_IOERR_SHMSIZE
        or db.system_errno in _NO_ROOM
    )


def _from_system(path: str, error: OSError) -> StoreError:
    if error.errno in _NO_ROOM:
        return StoreFull(f"no room on the disk of {path}; nothing was written: {error}")
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return StoreError(f"no permission for {path} or its folder: {error}")
    return StoreError(f"{path} cannot be used: {error}")
