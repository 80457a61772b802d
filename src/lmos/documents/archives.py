"""ZIP archives, as which offices and publishers save, opened with care.

Knows how much an archive claims to hold before anything is unpacked: what is longer than claimed
is refused by `zipfile` itself. Does not know what the members mean.
"""

from __future__ import annotations

import io
import zipfile

from lmos.documents.base import Original
from lmos.errors import DataError
from lmos.text.files import shown_size

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MOST_TIMES = 8
"""An archive may unpack to so many times the most that a file may have."""


def open_archive(original: Original, kind: str) -> zipfile.ZipFile:
    """The archive that a file is.

    Args:
        original: The file.
        kind: What it should be, as in "a Word document".

    Raises:
        DataError: It is broken, encrypted, or would unpack to far too much.
    """
    if original.data.startswith(_OLE):
        raise DataError(
            "an Office document of before 2007, or one with a password; save it anew without, "
            "in the newer format"
        )
    try:
        archive = zipfile.ZipFile(io.BytesIO(original.data))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise DataError(f"expected {kind}, got a broken archive: {error}") from None
    if any(member.flag_bits & 1 for member in archive.infolist()):
        raise DataError("encrypted; save it without a password first")
    unpacked = sum(member.file_size for member in archive.infolist())
    most = _MOST_TIMES * original.reading.max_bytes
    if unpacked > most:
        raise DataError(
            f"an archive of {shown_size(len(original.data))} that unpacks to "
            f"{shown_size(unpacked)}, expected at most {shown_size(most)}; raise --max-mb if that "
            "is right"
        )
    return archive
