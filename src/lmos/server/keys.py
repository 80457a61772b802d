"""API keys: a file of salted hashes, and what each key may do.

The keys themselves are told once, when they are made, and kept nowhere. Knows a file; knows neither
requests nor stores.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import filelock

from lmos.errors import ConfigError

ANY_STORE = "*"
_PREFIX = "lmos"
_FORMAT = 1


@dataclass(frozen=True)
class ApiKey:
    """What is kept of a key.

    Attributes:
        key_id: Names it in logs and lists.
        store: The one that it opens, or `*` for all.
        can_write: Whether it may also add, forget, make and delete.
        salt: In hex.
        digest: SHA-256 of salt and secret, in hex. The secret is random and long, so that nobody
            can try all.
        created: Seconds since the epoch.
    """

    key_id: str
    store: str
    can_write: bool
    salt: str
    digest: str
    created: float

    def opens(self, store: str) -> bool:
        """Whether it may read a store."""
        return self.store in (store, ANY_STORE)


def make_key(store: str, *, can_write: bool) -> tuple[str, ApiKey]:
    """A new key, and what is to be kept of it."""
    key_id, secret, salt = secrets.token_hex(4), secrets.token_urlsafe(32), secrets.token_hex(16)
    kept = ApiKey(key_id, store, can_write, salt, _digest(salt, secret), time.time())
    return f"{_PREFIX}-{key_id}-{secret}", kept


def read_keys(path: Path) -> dict[str, ApiKey]:
    """The keys of a file, by their ids.

    Raises:
        ConfigError: It cannot be read, or is no file of keys.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["format"] != _FORMAT:
            raise ConfigError(f"{path}: expected format {_FORMAT}, got {values['format']!r}")
        return {each["key_id"]: ApiKey(**each) for each in values["keys"]}
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; make a key first: lmos keys add {path} --store NAME"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: expected a file that lmos keys wrote: {error!r}") from error


def add_key(path: Path, store: str, *, can_write: bool) -> tuple[str, ApiKey]:
    """Make a key and put it into a file, which is made if it is not there."""
    with filelock.FileLock(path.with_name(path.name + "-lock")):
        keys = read_keys(path) if path.exists() else {}
        key, kept = make_key(store, can_write=can_write)
        _write_keys(path, [*keys.values(), kept])
    return key, kept


def remove_key(path: Path, key_id: str) -> ApiKey:
    """Take a key out of a file; a running server refuses it from then on.

    Raises:
        ConfigError: There is none of that id.
    """
    with filelock.FileLock(path.with_name(path.name + "-lock")):
        keys = read_keys(path)
        if key_id not in keys:
            known = ", ".join(keys) or "none"
            raise ConfigError(f"{path} has no key {key_id!r}; it has {known}")
        removed = keys.pop(key_id)
        _write_keys(path, keys.values())
    return removed


class KeyRing:
    """The keys of a file, read again when it has changed.

    Raises:
        ConfigError: The file cannot be read when the server starts.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._state()
        self._keys = read_keys(path)

    def find(self, text: str) -> ApiKey | None:
        """The key that a client sent, if it is one.

        Raises:
            ConfigError: The file has changed and cannot be read any more; nobody is let in.
        """
        state = self._state()
        if state != self._seen:
            self._keys, self._seen = read_keys(self._path), state
        prefix, _, rest = text.partition("-")
        key_id, _, secret = rest.partition("-")
        kept = self._keys.get(key_id) if prefix == _PREFIX else None
        if kept is None or not hmac.compare_digest(_digest(kept.salt, secret), kept.digest):
            return None
        return kept

    def _state(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


def _digest(salt: str, secret: str) -> str:
    return hashlib.sha256(f"{salt}{secret}".encode()).hexdigest()


def _write_keys(path: Path, keys: Iterable[ApiKey]) -> None:
    """Whole or not at all, readable by its owner alone."""
    draft = path.with_name(path.name + "-new")
    text = json.dumps({"format": _FORMAT, "keys": [asdict(key) for key in keys]}, indent=2)
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
