"""Rekeying: a store gets another key, its first one, or none.

A copy grows beside the store, which stays as it is until the copy is complete. Knows stores and
keys; knows neither models nor commands.
"""

from __future__ import annotations

from pathlib import Path

from lmos.store.files import remove_files
from lmos.store.keys import Key
from lmos.store.sqlite import SQLiteStore
from lmos.store.writer import Patience


def rekey(
    path: Path, key: Key | None, new_key: Key | None, patience: Patience | None = None
) -> None:
    """Encrypt the store at a path with another key, or no longer.

    Needs about as much room again until it is done. A process that reads the store must close it.

    Args:
        path: Of the store.
        key: What it is encrypted with; `None` if it is not.
        new_key: What it shall be encrypted with; `None` for not at all.
        patience: How long to wait while another process writes.

    Raises:
        StoreEncrypted: The key is not the store's.
        StoreLocked: Another process has the store open; it is as it was.
        StoreCorrupt: A page is damaged; the store is as it was, repair it first.
        StoreFull: No room for the copy; the store is as it was.
    """
    draft = path.with_name(path.name + "-rekey")
    with SQLiteStore.open(path, patience=patience, key=key) as store:
        try:
            remove_files(draft)
            store.write_copy(draft, new_key)
            store.give_way(draft)
        finally:
            remove_files(draft)
