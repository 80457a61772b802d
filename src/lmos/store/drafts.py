"""Stores that are made beside a path and appear there when they are complete.

Knows paths and stores; knows neither what goes into them nor models.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lmos.store.faults import store_errors
from lmos.store.files import move_file, remove_files, require_free
from lmos.store.keys import Key
from lmos.store.manifest import Manifest
from lmos.store.sqlite import SQLiteStore
from lmos.store.writer import WriterLock


def draft_path(path: Path) -> Path:
    """Where a store lies until it is complete and can be at `path`."""
    return path.with_name(path.name + "-draft")


@contextmanager
def new_store(path: Path, manifest: Manifest, key: Key | None = None) -> Iterator[SQLiteStore]:
    """A store to fill, which is at the path once the block ends well, and nowhere if it does not.

    Args:
        path: Must be free.
        manifest: Of the model that wrote what goes in.
        key: Encrypts it from the first byte on.

    Raises:
        StoreExists: There is something at the path.
        StoreLocked: Another process is making a store there.
    """
    draft = draft_path(path)
    with store_errors(str(path)):
        require_free(path)
        writer = WriterLock(path, is_private=key is not None)
    try:
        require_free(path)
        remove_files(draft)
        with SQLiteStore.create(draft, manifest, key) as store:
            yield store
        move_file(draft, path)
    finally:
        remove_files(draft)
        writer.release()
