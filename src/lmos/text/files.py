"""Files -> their text, checked; or one sentence that says why a file is no text.

Knows single files and bytes. Knows neither folders nor stores.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lmos.errors import DataError
from lmos.nodes import PlaceMark
from lmos.text.encodings import decode
from lmos.text.kinds import kind_of

MEGABYTE = 1_000_000
_MAX_CONTROL_SHARE = 0.1
# C0 without tab, newline, vertical tab, form feed, carriage return and escape.
_CONTROLS = bytes({*range(32)} - {9, 10, 11, 12, 13, 27})
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


@dataclass(frozen=True)
class TextFile:
    """A text that can be added, from a file.

    Attributes:
        name: Of its source.
        path: Where the file is.
        num_bytes: Of its text when it was looked at.
        time: When it is from, in seconds since the epoch; of a file that does not say, when it was
            last changed; `None` for standard input.
        digest: SHA-256 of its text and its places when it was looked at.
        text: Kept where reading it again is costly or cannot be done; else it is read when added.
        key: Which of several texts in the file it is.
        places: Where in the file each stretch comes from.
        labels: What else the file says about it.
        notes: What is to be told of how it was read.
    """

    name: str
    path: Path
    num_bytes: int
    time: float | None
    digest: bytes
    text: str | None = None
    key: str | None = None
    places: tuple[PlaceMark, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_text(path: Path, max_bytes: int) -> str:
    """The text of a file that is plain text.

    Raises:
        DataError: It is missing, unreadable, too large, binary or not UTF-8.
    """
    return decode_text(shown(path), read_bytes(path, max_bytes))


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """All of a file.

    Raises:
        DataError: It is missing, unreadable or too large.
    """
    name = shown(path)
    try:
        str(path).encode()
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{name}: expected a file or a folder; use - for standard input")
        if status.st_size > max_bytes:
            raise too_large(name, shown_size(status.st_size), max_bytes)
        return path.read_bytes()
    except UnicodeEncodeError:
        raise DataError(f"{name}: expected a path in UTF-8; rename it") from None
    except OSError as error:
        raise DataError(f"{name}: {_why_unreadable(path, error)}") from error


def modified(path: Path) -> float:
    """When a file was last changed, in seconds since the epoch.

    Raises:
        DataError: It is not there any more.
    """
    try:
        return path.stat().st_mtime
    except OSError as error:
        raise DataError(f"{shown(path)}: {_why_unreadable(path, error)}") from error


def digest_of(data: bytes, places: Sequence[PlaceMark] = ()) -> bytes:
    """SHA-256 of a text, and of the places it comes from if it has some."""
    digest = hashlib.sha256(data)
    if places:
        digest.update(f"\n{json.dumps(places)}".encode())
    return digest.digest()


def decode_text(name: str, data: bytes, encoding: str | None = None) -> str:
    """Plain text, as it is.

    Args:
        name: For messages.
        data: All of it.
        encoding: As `encodings.decode` takes it.

    Raises:
        DataError: It is binary, or in another encoding; says what it is, or where it is not.
    """
    try:
        return plain_text(data, encoding)[0]
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def plain_text(data: bytes, encoding: str | None) -> tuple[str, str | None]:
    """Plain text, as it is, and what is to be told of how it was read.

    Raises:
        DataError: It is binary, or in another encoding; does not say whose it is.
    """
    kind = kind_of(data)
    if kind is not None and not (kind.is_text and encoding is not None):
        advice = f"; {kind.advice}" if kind.advice else ""
        raise DataError(f"expected plain text, got {kind.name}{advice}")
    if encoding is None:
        _require_text(data)
        # A mark of byte order stays, so that offsets are those of the file.
        if data.startswith(codecs.BOM_UTF8):
            return data.decode(), None
    text, note = decode(data, encoding)
    if encoding is not None:
        _require_text(text.encode(errors="replace"))
    return text, note


def _require_text(data: bytes) -> None:
    if (zero := data.find(0)) >= 0:
        raise DataError(f"binary, byte {zero} is NUL; if it is UTF-16, add --encoding utf-16")
    num_controls = len(data) - len(data.translate(None, _CONTROLS))
    if num_controls > _MAX_CONTROL_SHARE * len(data):
        raise DataError(f"binary, {num_controls:,} of {len(data):,} bytes are controls")


def require_content(name: str, text: str) -> None:
    """Check that there is something in a text.

    Raises:
        DataError: It is empty, or nothing but white space.
    """
    if not text:
        raise DataError(f"{name}: empty; expected text")
    if not text.strip():
        raise DataError(f"{name}: nothing but white space; expected text")


def require_path(typed: str) -> None:
    """Check that what the user typed can be a path.

    Raises:
        DataError: It is empty, or an address.
    """
    if not typed:
        raise DataError("expected a path, got an empty one")
    if _ADDRESS.match(typed) and not os.path.lexists(typed):
        raise DataError(
            f"{typed}: expected a file, a folder, or an address that begins with http:// or https://"
        )


def too_large(name: str, found: str, max_bytes: int) -> DataError:
    """The error for a text that is larger than the user allows."""
    return DataError(
        f"{name}: expected at most {max_bytes / MEGABYTE:,.10g} MB, got {found}; "
        "split it, e.g. with split -C 8m, or raise --max-mb"
    )


def shown_size(num_bytes: int) -> str:
    """Bytes as people read them: `20 kB`, `3.2 MB`."""
    if num_bytes < MEGABYTE:
        return f"{num_bytes / 1000:,.0f} kB"
    return f"{num_bytes / MEGABYTE:,.1f} MB"


def shown(path: Path) -> str:
    """A path for messages, even if it is not valid Unicode."""
    return os.fsencode(path).decode(errors="replace")


def _why_unreadable(path: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        return f"a link to {shown(path.readlink())}, which is not there"
    return reason
