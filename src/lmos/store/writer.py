"""One writer at a time: a lock that lasts as long as a store is open for writing.

It is an `flock` on a small file beside the store that holds the writer's process id, so the kernel
lets go of it however the process ends. Knows nothing of SQLite, which has its own lock for each
transaction; that one alone would let two processes build on the same state in turn and lose one's
work.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from lmos.errors import StoreLocked

SUFFIX = "-writer"


class WriterLock:
    """The right to write to a store, from construction to `release`.

    Args:
        path: The store.

    Raises:
        StoreLocked: Another process has it, or this one has it already.
        OSError: The folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + SUFFIX)
        self._file: int | None = None
        while self._file is None:
            self._file = self._try_lock(path)
        os.ftruncate(self._file, 0)
        os.write(self._file, str(os.getpid()).encode())

    def release(self) -> None:
        """Give the right back. Calling it twice is fine."""
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None

    def _try_lock(self, path: Path) -> int | None:
        """The locked file, or `None` if its last holder removed it meanwhile."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file).st_nlink:
                return file
        except BlockingIOError:
            pid = os.read(file, 20).decode() or "unknown"
            os.close(file)
            raise StoreLocked(
                f"process {pid} has {path} open for writing; close it there, or open it read-only"
            ) from None
        os.close(file)
        return None
