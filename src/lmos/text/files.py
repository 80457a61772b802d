"""Files -> their text, checked; or one sentence that says why a file is no text.

Knows single files and bytes. Knows neither folders nor stores.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from lmos.errors import DataError
from lmos.text.kinds import HEAD_BYTES, kind_of

MEGABYTE = 1_000_000
_MAX_CONTROL_SHARE = 0.1
# C0 without tab, newline, vertical tab, form feed, carriage return and escape.
_CONTROLS = bytes({*range(32)} - {9, 10, 11, 12, 13, 27})
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


@dataclass(frozen=True)
class TextFile:
    """A file with text that can be added.

    Attributes:
        name: Of its source.
        path: Where it is.
        num_bytes: Of its text when it was looked at.
        time: When it was last changed, in seconds since the epoch; `None` for standard input.
        digest: SHA-256 of its text when it was looked at.
        text: Of standard input, which can be read only once; files are read when they are added.
    """

    name: str
    path: Path
    num_bytes: int
    time: float | None
    digest: bytes
    text: str | None = None


def read_text(path: Path, max_bytes: int) -> str:
    """The text of a file.

    Raises:
        DataError: It is missing, unreadable, too large, binary or not UTF-8.
    """
    name = shown(path)
    try:
        str(path).encode()
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{name}: expected a file or a folder; use - for standard input")
        if status.st_size > max_bytes:
            with path.open("rb") as file:
                require_text_kind(name, file.read(HEAD_BYTES))
            raise too_large(name, f"{status.st_size / MEGABYTE:,.1f} MB", max_bytes)
        return decode_text(name, path.read_bytes())
    except UnicodeEncodeError:
        raise DataError(f"{name}: expected a path in UTF-8; rename it") from None
    except OSError as error:
        raise DataError(f"{name}: {_why_unreadable(path, error)}") from error


def look_at(name: str, path: Path, max_bytes: int) -> tuple[TextFile, str]:
    """A file under the name of its source, and its text, which may be nothing but white space.

    Raises:
        DataError: It is missing, unreadable, too large, binary or not UTF-8.
    """
    text = read_text(path, max_bytes)
    try:
        time = path.stat().st_mtime
    except OSError as error:
        raise DataError(f"{shown(path)}: {_why_unreadable(path, error)}") from error
    data = text.encode()
    return TextFile(name, path, len(data), time, digest_of(data)), text


def digest_of(data: bytes) -> bytes:
    """SHA-256 of a text."""
    return hashlib.sha256(data).digest()


def decode_text(name: str, data: bytes) -> str:
    """UTF-8 to text.

    Raises:
        DataError: It is binary or not UTF-8; says what it is, or where it is not.
    """
    require_text_kind(name, data)
    if (zero := data.find(0)) >= 0:
        raise DataError(
            f"{name}: binary, byte {zero} is NUL; if it is UTF-16, convert it to UTF-8 first"
        )
    num_controls = len(data) - len(data.translate(None, _CONTROLS))
    if num_controls > _MAX_CONTROL_SHARE * len(data):
        raise DataError(f"{name}: binary, {num_controls:,} of {len(data):,} bytes are controls")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}: expected UTF-8, got byte {data[error.start]:#04x} at offset {error.start}; "
            "convert it first, e.g. with iconv -f latin1 -t utf-8"
        ) from None


def require_text_kind(name: str, head: bytes) -> None:
    """Check that bytes do not begin as those of a file that is no text.

    Raises:
        DataError: They do; says what it is, and how to make text of it.
    """
    kind = kind_of(head)
    if kind is not None:
        advice = f"; {kind.advice}" if kind.advice else ""
        raise DataError(f"{name}: expected plain text, got {kind.name}{advice}")


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
        DataError: It is empty, or the address of a web page.
    """
    if not typed:
        raise DataError("expected a path, got an empty one")
    if _ADDRESS.match(typed) and not os.path.lexists(typed):
        raise DataError(
            f"{typed}: expected a file or a folder; addresses of the web are not read. Save the "
            "page as text and add that"
        )


def too_large(name: str, found: str, max_bytes: int) -> DataError:
    """The error for a text that is larger than the user allows."""
    return DataError(
        f"{name}: expected at most {max_bytes / MEGABYTE:,.10g} MB, got {found}; "
        "split it, e.g. with split -C 8m, or raise --max-mb"
    )


def shown(path: Path) -> str:
    """A path for messages, even if it is not valid Unicode."""
    return os.fsencode(path).decode(errors="replace")


def _why_unreadable(path: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        return f"a link to {shown(path.readlink())}, which is not there"
    return reason
