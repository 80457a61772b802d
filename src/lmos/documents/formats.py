"""Which reader reads which file, by its suffix, or by its first bytes where these are plain.

The one list of formats. Readers need their libraries only when they read.
"""

from __future__ import annotations

import re
from pathlib import PurePath

from lmos.documents.base import AbstractReader
from lmos.documents.books import BookReader
from lmos.documents.delimited import DelimitedReader
from lmos.documents.mail import MailboxReader, MessageReader
from lmos.documents.notebooks import NotebookReader
from lmos.documents.offices import SheetsReader, SlidesReader, WordReader
from lmos.documents.pdfs import PdfReader
from lmos.documents.plain import CodeReader, MarkdownReader, PlainReader
from lmos.documents.structured import JsonLinesReader, JsonReader
from lmos.documents.subtitles import SubtitleReader
from lmos.documents.webpages import WebPageReader
from lmos.text.kinds import kind_of

PLAIN = PlainReader()
READERS: tuple[AbstractReader, ...] = (
    PLAIN,
    MarkdownReader(),
    DelimitedReader(),
    JsonReader(),
    JsonLinesReader(),
    WebPageReader(),
    MessageReader(),
    MailboxReader(),
    NotebookReader(),
    CodeReader(),
    SubtitleReader(),
    PdfReader(),
    WordReader(),
    SlidesReader(),
    SheetsReader(),
    BookReader(),
)
_BY_SUFFIX = {suffix: reader for reader in READERS for suffix in reader.suffixes}
# As `text.kinds` calls them.
_BY_KIND = {
    "a PDF document": ".pdf",
    "a Word document (docx)": ".docx",
    "a PowerPoint presentation (pptx)": ".pptx",
    "an Excel workbook (xlsx)": ".xlsx",
    "an EPUB book": ".epub",
}
_BY_TYPE = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "text/markdown": ".md",
    "text/csv": ".csv",
    "application/json": ".json",
    "application/pdf": ".pdf",
    "message/rfc822": ".eml",
}
# Of these, one file may hold several documents: `mail.mbox#Lunch`.
_SEVERAL = re.compile(r"(.*\.(?:mbox|mbx|json))#[^/]*", re.IGNORECASE | re.DOTALL)


def is_known(path: PurePath) -> bool:
    """Whether the suffix of a file says that it can be read."""
    return path.suffix.lower() in _BY_SUFFIX


def reader_of(path: PurePath, head: bytes) -> AbstractReader:
    """What reads a file; whatever is not known is plain text, or refused as such.

    Args:
        path: Its name.
        head: Its first bytes.
    """
    reader = _BY_SUFFIX.get(path.suffix.lower(), PLAIN)
    kind = kind_of(head) if isinstance(reader, PlainReader | MarkdownReader) else None
    return reader if kind is None else _BY_SUFFIX.get(_BY_KIND.get(kind.name, ""), reader)


def reader_of_type(media_type: str, path: PurePath, head: bytes) -> AbstractReader:
    """What reads a file that came with a media type: by that, unless it says nothing."""
    suffix = _BY_TYPE.get(media_type)
    return _BY_SUFFIX[suffix] if suffix is not None else reader_of(path, head)


def name_of(file_name: str, key: str | None) -> str:
    """The name of the source that a document of a file becomes."""
    return file_name if key is None else f"{file_name}#{key}"


def file_name_of(name: str) -> str:
    """The name of the file that a source comes from; undoes `name_of`."""
    match = _SEVERAL.fullmatch(name)
    return name if match is None else match[1]
