"""What opens an encrypted store: a secret, and the key that it becomes for one file.

Knows secrets, salts, and SQLite's words for encryption; does not know what a store holds. The
pages are encrypted by SQLite3 Multiple Ciphers, with which `apsw-sqlite3mc` is built.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from functools import lru_cache
from os import PathLike
from pathlib import Path
from urllib.parse import quote

import apsw

from lmos.errors import ConfigError, StoreEncrypted, StoreError
from lmos.store.faults import store_errors

CIPHER = "chacha20"
SALT_BYTES = 16
KEY_BYTES = 32
FEWEST_FILE_BYTES = 32
_MOST_FILE_BYTES = 1 << 20
SCRYPT = {"n": 1 << 17, "r": 8, "p": 1}
_SCRYPT_MEMORY = 1 << 28
_PLAIN_HEAD = b"SQLite format 3\0"
# An encrypted file begins with its salt, and then says in plain, as every file of SQLite does, how
# large its pages are; of each it reserves 32 bytes for a number used once and the authentication.
_RESERVED_PLACE, _RESERVED = slice(20, 24), bytes([32, 64, 32, 32])
_HEAD_BYTES = 24


class Key:
    """The secret that opens an encrypted store. Make it with `from_passphrase` or `from_file`.

    Example:
        >>> key = Key.from_passphrase("correct horse battery staple")
        >>> key
        Key(…)
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._derived = lru_cache(maxsize=8)(self._derive)

    @classmethod
    def from_passphrase(cls, passphrase: str) -> Key:
        """A key that a person remembers.

        Args:
            passphrase: Not empty. The same letters are the same key however they are composed.

        Raises:
            ConfigError: It is empty, or no Unicode text.
        """
        if not passphrase:
            raise ConfigError("expected a passphrase, got an empty one")
        try:
            return cls(unicodedata.normalize("NFC", passphrase).encode())
        except UnicodeEncodeError as error:
            raise ConfigError(f"expected a passphrase in Unicode: {error.reason}") from error

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> Key:
        """A key that lies in a file: all its bytes, best random ones.

        Args:
            path: Of 32 bytes to 1 MiB.

        Raises:
            ConfigError: The file cannot be read, or is too short or too long.
        """
        try:
            with Path(path).open("rb") as file:
                secret = file.read(_MOST_FILE_BYTES + 1)
        except OSError as error:
            raise ConfigError(f"the key file {path} cannot be read: {error.strerror}") from error
        if not FEWEST_FILE_BYTES <= len(secret) <= _MOST_FILE_BYTES:
            size = f"{len(secret)} bytes" if len(secret) <= _MOST_FILE_BYTES else "more"
            raise ConfigError(
                f"{path}: expected a key file of {FEWEST_FILE_BYTES} bytes to 1 MiB, got {size}; "
                "make one, for example: head -c 32 /dev/urandom > my.key"
            )
        return cls(secret)

    def derive(self, salt: bytes) -> bytes:
        """The 32 bytes that encrypt the one file with this salt; slow on purpose, once a file."""
        return self._derived(salt)

    def __repr__(self) -> str:
        return "Key(…)"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a key is not written anywhere; make it again where it is needed")

    def _derive(self, salt: bytes) -> bytes:
        return hashlib.scrypt(
            self._secret, salt=salt, dklen=KEY_BYTES, maxmem=_SCRYPT_MEMORY, **SCRYPT
        )


def is_encrypted(path: Path) -> bool:
    """Whether the file at the path is an encrypted store, as far as can be seen without its key.

    Raises:
        StoreError: It cannot be read.
    """
    with store_errors(str(path)):
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return _salt_of(db) is not None
        finally:
            db.close()


def lock(db: apsw.Connection, key: Key) -> None:
    """Encrypt a file that holds nothing yet, from its first page on."""
    _require_ciphers()
    _give(db, _raw(key, os.urandom(SALT_BYTES)))


def unlock(db: apsw.Connection, path: str, key: Key | None) -> None:
    """Make a connection read what is there: with the key if the file is encrypted, else without.

    Raises:
        StoreEncrypted: The file is encrypted and there is no key, or it is another one.
        StoreError: There is a key, but the file is not encrypted.
    """
    salt = _salt_of(db)
    if key is None:
        if salt is not None:
            raise StoreEncrypted(
                f"{path} is encrypted: give its passphrase or its key file "
                "(--key-file, LMOS_KEY_FILE or LMOS_PASSPHRASE on the command line)"
            )
        return
    if salt is None:
        if _head_of(db).startswith(_PLAIN_HEAD):
            raise StoreError(
                f"{path} is not encrypted, expected a store that the key opens; open it without a "
                f"key, or encrypt it: lmos rekey {path}"
            )
        return
    _require_ciphers()
    _give(db, f"raw:{key.derive(salt).hex()}")
    try:
        db.pragma("schema_version")
    except apsw.NotADBError as error:
        raise StoreEncrypted(
            f"the key does not open {path}: it is the key of another store, the passphrase is "
            "mistyped, or the first page of the file is damaged; nothing was changed"
        ) from error


def write_copy(db: apsw.Connection, draft: Path, key: Key | None) -> None:
    """Write what a connection sees to a new file, encrypted with a key or not at all.

    Args:
        db: Was opened to understand URIs.
        draft: Must not exist.
        key: Of the new file.
    """
    secret = ""
    if key is not None:
        _require_ciphers()
        secret = _raw(key, os.urandom(SALT_BYTES))
    uri = f"{draft.absolute().as_uri()}?cipher={CIPHER}&key={quote(secret)}"
    db.execute("VACUUM INTO ?", (uri,))


def _raw(key: Key, salt: bytes) -> str:
    """A key and a salt as the cipher takes them, so that it derives nothing itself."""
    return f"raw:{key.derive(salt).hex()}{salt.hex()}"


def _give(db: apsw.Connection, raw_key: str) -> None:
    db.pragma("cipher", CIPHER)
    db.pragma("key", raw_key)


def _head_of(db: apsw.Connection) -> bytes:
    # Not with `open`: whoever closes a file of which this process has locks, loses them.
    return bytes(db.read("main", 0, 0, _HEAD_BYTES)[1])


def _salt_of(db: apsw.Connection) -> bytes | None:
    head = _head_of(db)
    if head.startswith(_PLAIN_HEAD) or head[_RESERVED_PLACE] != _RESERVED:
        return None
    return head[:SALT_BYTES]


def _require_ciphers() -> None:
    if not hasattr(apsw, "mc_version"):
        raise ConfigError(
            "encrypted stores need apsw-sqlite3mc, but the package apsw is installed in its place; "
            "put it right: pip uninstall apsw && pip install --force-reinstall apsw-sqlite3mc"
        )
