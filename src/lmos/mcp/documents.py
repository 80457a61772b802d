"""Sources and citations as the tools return them: titles, ids, and stretches of text to page in.

Reads texts of a store. Knows neither models nor protocols.
"""

from __future__ import annotations

from datetime import datetime

from lmos.mcp.places import Place
from lmos.mcp.shapes import (
    CitedPassage,
    DifferingAnswer,
    Document,
    FoundPassage,
    ListedSource,
)
from lmos.nodes import Source, Span
from lmos.reading.citations import Citation
from lmos.reading.rereading import Differing
from lmos.store import AbstractStore
from lmos.tree.excerpts import read_excerpt

PAGE_BYTES = 8192
"""Of text that is fetched at once: about two thousand tokens."""


def found_passage(store: str, citation: Citation) -> FoundPassage:
    """A citation as a search result."""
    return FoundPassage(**_passage(store, citation))


def cited_passage(store: str, citation: Citation, *, is_found: bool) -> CitedPassage:
    """A citation of an answer; one that holds a mere guess is not marked."""
    return CitedPassage(**_passage(store, citation), has_answer=is_found and citation.has_answer)


def differing_answer(store: str, other: Differing) -> DifferingAnswer:
    """What another passage answers."""
    time = other.citation.time
    return DifferingAnswer(
        answer=other.text,
        is_earlier=other.is_earlier,
        time=None if time is None else iso_time(time),
        citation=found_passage(store, other.citation),
    )


def fetch_document(store: AbstractStore, place: Place) -> Document:
    """A page of text around a place: all of a short source.

    Raises:
        SourceNotFound: There is no such source.
    """
    with store.snapshot():
        source = store.source(place.source)
        excerpt = read_excerpt(store, source, _page(place.span, source.num_bytes))
    start, stop = excerpt.start, excerpt.start + len(excerpt.text)
    metadata = {
        "store": place.store,
        "source": source.name,
        **({} if source.time is None else {"time": iso_time(source.time)}),
        **{f"label_{key}": value for key, value in source.metadata.items()},
        "start_byte": str(start),
        "end_byte": str(stop),
        "num_bytes": str(source.num_bytes),
    }
    if start > 0:
        before = Span(max(0, start - PAGE_BYTES), start)
        metadata["previous_id"] = Place(place.store, source.name, before).id
    if stop < source.num_bytes:
        # A whole page even where less is left: a shorter one would get text around it.
        behind = Span(stop, stop + PAGE_BYTES)
        metadata["next_id"] = Place(place.store, source.name, behind).id
    return Document(
        id=place.id,
        title=source.name,
        text=excerpt.text.decode(),
        url=place.url,
        metadata=metadata,
    )


def listed_source(store: str, source: Source) -> ListedSource:
    """A source without its text."""
    return ListedSource(
        id=Place(store, source.name).id,
        store=store,
        source=source.name,
        time=None if source.time is None else iso_time(source.time),
        labels=dict(source.metadata),
        num_tokens=source.num_tokens,
        num_bytes=source.num_bytes,
    )


def newest_first(sources: list[Source]) -> list[Source]:
    """By time; those without one last."""
    return sorted(sources, key=lambda source: -(source.time or 0.0))


def iso_time(seconds: float) -> str:
    """A time as people and machines read it, in the local zone."""
    try:
        return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} s"


def _passage(store: str, citation: Citation) -> dict[str, str]:
    place = Place(store, citation.source, Span(citation.start_byte, citation.end_byte))
    above = [*citation.headings, *filter(None, [citation.columns])]
    source = ", ".join([citation.source, *filter(None, [citation.place])])
    return {
        "id": place.id,
        "title": " › ".join([source, *above]),
        "url": place.url,
        "text": citation.text,
    }


def _page(span: Span | None, num_bytes: int) -> Span:
    """A page with the span in its middle; of a span that is a page or more, its first page."""
    if span is None:
        return Span(0, min(PAGE_BYTES, num_bytes))
    if span.stop - span.start >= PAGE_BYTES:
        return Span(min(span.start, num_bytes), min(span.start + PAGE_BYTES, num_bytes))
    middle = (span.start + span.stop) // 2
    start = max(0, min(middle - PAGE_BYTES // 2, num_bytes - PAGE_BYTES))
    return Span(start, min(start + PAGE_BYTES, num_bytes))
