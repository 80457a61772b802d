"""Reading: a stretch of a source as the reader is given it.

Knows the contract of stores and the reader's passages; does not know how either is chosen or used.
"""

from __future__ import annotations

from lmos.formats import ReadPassage
from lmos.nodes import Source, Span
from lmos.store import AbstractStore


def passage_of(store: AbstractStore, source: Source, span: Span) -> ReadPassage:
    """A stretch of text, with what the reader is told about where it stands."""
    text = store.text(source.source_id, span).decode("utf-8", errors="replace")
    return ReadPassage(text, source.name, source.time)
