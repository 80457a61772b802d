"""The first bytes of a file -> what kind of file it is, for the files that people take for text.

Knows the marks of common formats. Does not know how to read any of them.
"""

from __future__ import annotations

from dataclasses import dataclass

HEAD_BYTES = 65_536


@dataclass(frozen=True)
class Kind:
    """A kind of file that is no text.

    Attributes:
        name: With its article, as in "a PDF document".
        advice: How to make text of it, a clause; empty if nothing makes sense.
        is_text: Whether it is text once its encoding is known.
    """

    name: str
    advice: str = ""
    is_text: bool = False


_ENCODED = "add --encoding {}"
_WITH_PANDOC = "convert it first, e.g. with pandoc -t markdown"
_UNPACK = "unpack it and add the text files in it"

# What the file begins with. The order matters: the mark of UTF-32 begins with that of UTF-16.
_MARKS: tuple[tuple[bytes, Kind], ...] = (
    (b"%PDF-", Kind("a PDF document", "convert it first, e.g. with pdftotext")),
    (b"{\\rtf", Kind("an RTF document", _WITH_PANDOC)),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind("an old Office document", "save it as text first")),
    (b"\xff\xfe\0\0", Kind("text in UTF-32", _ENCODED.format("utf-32"), is_text=True)),
    (b"\0\0\xfe\xff", Kind("text in UTF-32", _ENCODED.format("utf-32"), is_text=True)),
    (b"\xff\xfe", Kind("text in UTF-16", _ENCODED.format("utf-16"), is_text=True)),
    (b"\xfe\xff", Kind("text in UTF-16", _ENCODED.format("utf-16"), is_text=True)),
    (b"\x1f\x8b", Kind("a gzip archive", _UNPACK)),
    (b"BZh9", Kind("a bzip2 archive", _UNPACK)),
    (b"\xfd7zXZ\0", Kind("an xz archive", _UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", Kind("a 7-Zip archive", _UNPACK)),
    (b"Rar!\x1a\x07", Kind("a RAR archive", _UNPACK)),
    (b"SQLite format 3\0", Kind("an SQLite database or a context store")),
    (b"\x89PNG", Kind("a PNG picture")),
    (b"\xff\xd8\xff", Kind("a JPEG picture")),
    (b"GIF87a", Kind("a GIF picture")),
    (b"GIF89a", Kind("a GIF picture")),
    (b"ID3", Kind("an MP3 recording")),
)
_ZIP = b"PK\x03\x04"
# Where the names of the files in a ZIP stand, they are not compressed.
_IN_ZIP: tuple[tuple[bytes, Kind], ...] = (
    (b"mimetypeapplication/epub+zip", Kind("an EPUB book", _WITH_PANDOC)),
    (b"mimetypeapplication/vnd.oasis.opendocument", Kind("an OpenDocument file", _WITH_PANDOC)),
    (b"word/document", Kind("a Word document (docx)", _WITH_PANDOC)),
    (b"xl/workbook", Kind("an Excel workbook (xlsx)", "save its sheets as CSV text first")),
    (b"ppt/presentation", Kind("a PowerPoint presentation (pptx)", "save it as text first")),
    (b"META-INF/container.xml", Kind("an EPUB book", _WITH_PANDOC)),
)


def kind_of(data: bytes) -> Kind | None:
    """What kind of file begins with these bytes; `None` if it may be text.

    Args:
        data: All of the file, or its first `HEAD_BYTES`.
    """
    if data.startswith(_ZIP):
        names = (kind for mark, kind in _IN_ZIP if mark in data)
        return next(names, Kind("a ZIP archive", _UNPACK))
    return next((kind for mark, kind in _MARKS if data.startswith(mark)), None)
