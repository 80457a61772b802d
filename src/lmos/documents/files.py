"""Files that lie on the disk or were sent, and pages of the web -> documents, or why there is none.

Knows single files. Knows neither folders nor stores.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath

from lmos.documents.addresses import fetch
from lmos.documents.base import AbstractReader, Document, Original, Reading
from lmos.documents.formats import name_of, reader_of, reader_of_type
from lmos.errors import DataError
from lmos.text.files import TextFile, digest_of, modified, read_bytes, shown
from lmos.text.kinds import HEAD_BYTES


def look_at(name: str, path: Path, reading: Reading) -> list[tuple[TextFile, str]]:
    """The documents of a file, each under the name of its source, with its text.

    A text may be nothing but white space.

    Args:
        name: Of the source, if there is but one.
        path: Of the file.
        reading: How it is read.

    Raises:
        DataError: It is missing, unreadable, too large, broken, or of no kind that can be read.
    """
    data = read_bytes(path, reading.max_bytes)
    reader = reader_of(path, data[:HEAD_BYTES])
    original = Original(path.name, data, reading)
    documents = _read(reader, original, shown(path))
    time = modified(path)
    return [_text_file(name, path, each, time, reader, original.notes) for each in documents]


def read_sent(name: str, data: bytes, reading: Reading) -> tuple[list[Document], list[str]]:
    """The documents of a file that somebody sent, and what is to be told of how it was read.

    Args:
        name: Of the file; its suffix says what it is.
        data: All of it.
        reading: How it is read.

    Raises:
        DataError: It is too large, broken, or of no kind that can be read.
    """
    original = Original(PurePath(name).name, data, reading)
    documents = _read(reader_of(PurePath(name), data[:HEAD_BYTES]), original, name)
    return documents, original.notes


def look_at_address(address: str, reading: Reading) -> list[tuple[TextFile, str]]:
    """The documents of a page of the web, named by its address, with their texts.

    Raises:
        DataError: It cannot be had, or not be read.
    """
    page = fetch(address, reading.max_bytes)
    reader = reader_of_type(page.media_type, PurePath(page.name), page.data[:HEAD_BYTES])
    original = Original(page.name, page.data, reading)
    documents = _read(reader, original, address)
    path = Path(address)
    return [
        _text_file(address, path, each, page.time, reader, original.notes, keep=True)
        for each in documents
    ]


def read_again(file: TextFile, reading: Reading) -> str:
    """The text of a document that was looked at before, if it was not kept.

    Raises:
        DataError: The file has changed since, and cannot be read any more.
    """
    if file.text is not None:
        return file.text
    for found, text in look_at(file.name.removesuffix(f"#{file.key}"), file.path, reading):
        if found.key == file.key:
            return text
    raise DataError(f"{file.name}: is in its file no more")


def _read(reader: AbstractReader, original: Original, shown_name: str) -> list[Document]:
    try:
        documents = reader.read(original)
    except DataError as error:
        raise DataError(f"{shown_name}: {error}") from error
    except Exception as error:
        # Libraries raise whatever they like where a file is not what it says it is.
        reason = f"{type(error).__name__}: {error}".split("\n")[0][:200]
        raise DataError(
            f"{shown_name}: expected {reader.kind}, got a broken one ({reason})"
        ) from error
    return documents or [Document("")]


def _text_file(
    name: str,
    path: Path,
    document: Document,
    time: float | None,
    reader: AbstractReader,
    notes: Sequence[str],
    *,
    keep: bool = False,
) -> tuple[TextFile, str]:
    data = document.text.encode()
    file = TextFile(
        name=name_of(name, document.key),
        path=path,
        num_bytes=len(data),
        time=time if document.time is None else document.time,
        digest=digest_of(data, document.places),
        text=document.text if keep or not reader.is_quick else None,
        key=document.key,
        places=document.places,
        labels=dict(document.labels),
        notes=tuple(notes),
    )
    return file, document.text
