"""Reading: a stretch of a source as the reader is given it.

Knows the contract of stores, what a place stands under, and the reader's passages; does not know
how a stretch is chosen or what is asked about it.
"""

from __future__ import annotations

from lmos.model.formats import ReadPassage
from lmos.nodes import Source, Span
from lmos.store import AbstractStore
from lmos.text.normal import readable
from lmos.tree.headings import outline_of, without_headings


def passage_of(store: AbstractStore, source: Source, span: Span) -> ReadPassage:
    """A stretch of text, with what the reader is told about where it stands.

    Headings that it begins with are told as such and not once more.
    """
    text = readable(store.text(source.source_id, span).decode("utf-8", errors="replace"))
    if not text.strip():
        return ReadPassage("", source.name, source.time)
    place = outline_of(store, source, span.start).place(span)
    body = without_headings(text, place.headings).strip()
    columns = None if place.columns is None else _like_row(place.columns, body)
    return ReadPassage(body, source.name, source.time, place.headings, columns)


def _like_row(columns: str, row: str) -> str:
    """The head of a table with the marks between its names that its rows have."""
    if row.startswith("|"):
        return f"| {columns} |"
    mark = next((mark for mark in "\t;," if mark in row), " | ")
    return columns if "|" in row else columns.replace(" | ", mark)
