r"""Errors: everything that lmos raises on purpose.

    LmosError
    ├── ConfigError          an option or ratio out of range
    ├── DataError            text that cannot be read: missing, binary, not UTF-8, empty
    ├── ModelError           a base model or adapter that cannot be loaded or used
    ├── QueryError           a question that is empty or longer than a window
    └── StoreError
        ├── StoreNotFound    no store at this path
        ├── StoreExists      a store where a new one should go
        ├── StoreLocked      another process writes
        ├── StoreFull        no room left on the disk
        ├── StoreCorrupt     bytes that are not what was written
        ├── StoreMismatch    written by another model or a newer format
        ├── StoreEncrypted   encrypted, and no key or another one
        └── SourceNotFound   no source of this name

Every message says what was expected, what came and what to do. Knows of no other module.
"""

from __future__ import annotations


class LmosError(Exception):
    """Base class: catch it to catch everything that lmos raises on purpose."""


class ConfigError(LmosError):
    """An option is out of its range, or two options contradict each other."""


class DataError(LmosError):
    """Input text or a data file cannot be used."""


class ModelError(LmosError):
    """A base model, tokenizer or adapter cannot be loaded or used."""


class QueryError(LmosError):
    """A question that cannot be asked."""


class StoreError(LmosError):
    """A context store cannot do what was asked."""


class StoreNotFound(StoreError):
    """There is no context store at the path."""


class StoreExists(StoreError):
    """There is something at the path where a new store should go."""


class StoreLocked(StoreError):
    """Another process holds the store for writing."""


class StoreFull(StoreError):
    """The disk or the file's quota has no room for the write; nothing was written."""


class StoreCorrupt(StoreError):
    """Stored bytes do not have the checksum or the structure that was written."""


class StoreMismatch(StoreError):
    """The store was written by another model, or by a newer format of lmos."""


class StoreEncrypted(StoreError):
    """The store is encrypted, and there is no key, or one that does not open it."""


class SourceNotFound(StoreError):
    """The store holds no source of this name."""
