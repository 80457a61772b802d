"""Citations: the passages behind an answer, whole sentences, as exact bytes of their sources.

Reads texts of a store. Knows neither models nor how hits were chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from lmos.model.confidence import find_words
from lmos.nodes import Hit, ScoreParts, Span, WalkStep
from lmos.store import AbstractStore
from lmos.store.places import Places, place_of
from lmos.text.normal import readable, see
from lmos.tree.excerpts import Excerpt, read_excerpt
from lmos.tree.headings import Outline, outline_of

_REACH_BYTES = 256
"""How far beyond a hit the ends of its sentences are looked for."""


@dataclass(frozen=True)
class Citation:
    """A passage that an answer was generated from: whole sentences, if they are not too long.

    Attributes:
        source: Name of the source.
        time: Of the source, in seconds since the epoch, or `None` when unknown.
        start_byte: First byte of the passage in its source.
        end_byte: Just after its last byte.
        text: The passage, exactly as it was added.
        level: 0 when it was read as text, else the level of the embedding that was read.
        score: At the level where it was kept.
        weight: Share of the attention over everything kept.
        path: The walk that led there, level by level.
        has_answer: Whether the answer stands in it, or in a heading above it, word for word.
        headings: What it stands under, from the highest to the lowest: headings, dates, the label
            of a list; also those that it begins with.
        columns: The head of the table that it is a row of, if it is one.
        parts: What the score comes from, if words of the question were looked for.
        place: Where in its original the passage comes from, as in `page 12`; `None` where the
            source is no file that was converted.
    """

    source: str
    time: float | None
    start_byte: int
    end_byte: int
    text: str
    level: int
    score: float
    weight: float
    path: tuple[WalkStep, ...]
    has_answer: bool = False
    headings: tuple[str, ...] = ()
    columns: str | None = None
    parts: ScoreParts | None = None
    place: str | None = None


@dataclass(frozen=True)
class Passage:
    """A hit with the text around it, as the store had it when it was found."""

    hit: Hit
    excerpt: Excerpt
    outline: Outline
    places: Places = ()

    @property
    def read_text(self) -> str:
        """What the reader was given, as text or as an embedding of it, in its normal form."""
        return readable(self.excerpt.decode(self.hit.byte_span))

    @property
    def told_text(self) -> str:
        """What the reader was given, with what it stands under: answers may come from there too."""
        place = self.outline.place(self.hit.byte_span)
        return "\n".join([*place.headings, *filter(None, [place.columns]), self.read_text])

    def cite(self, answer: str) -> Citation:
        """The sentences of the hit, and of the answer if it stands in what was read."""
        span = self._with_answer(answer)
        span = self.excerpt.sentences_around(span)
        text = self.excerpt.decode(span)
        place = self.outline.place(span)
        return Citation(
            source=self.hit.source.name,
            time=self.hit.source.time,
            start_byte=span.start,
            end_byte=span.stop,
            text=text,
            level=0 if self.hit.is_text else self.hit.node.id.level,
            score=self.hit.score,
            weight=self.hit.weight,
            path=self.hit.path,
            has_answer=_stands_in(answer, [text, *place.headings]),
            headings=place.headings,
            columns=place.columns,
            parts=self.hit.parts,
            place=place_of(self.places, span),
        )

    def _with_answer(self, answer: str) -> Span:
        """The node's own bytes, and those of the answer where it stands beside them."""
        span, seen = self.hit.node.byte_span, see(self.excerpt.decode(self.hit.byte_span))
        place = find_words(readable(answer), seen.text)
        if place is None:
            return span
        bytes_before = (len(seen.text[:end].encode()) for end in place)
        first, last = (self.hit.byte_span.start + seen.origins[end] for end in bytes_before)
        return Span(min(span.start, first), max(span.stop, last))


def read_passages(store: AbstractStore, hits: Iterable[Hit]) -> tuple[Passage, ...]:
    """The hits with as much text around them as their sentences may take."""
    hits = list(hits)
    places = {
        source_id: store.places(source_id) for source_id in {h.source.source_id for h in hits}
    }
    return tuple(_read_passage(store, hit, places[hit.source.source_id]) for hit in hits)


def cite(passages: Sequence[Passage], answer: str = "") -> tuple[Citation, ...]:
    """What an answer was generated from, best first; hits of the same sentences are cited once.

    Args:
        passages: What the reader was given.
        answer: Looked for in the passages, to mark those that hold it.
    """
    ranked = sorted(passages, key=lambda passage: -passage.hit.score)
    cited: dict[tuple[str, int, int], Citation] = {}
    for citation in (passage.cite(answer) for passage in ranked):
        place = (citation.source, citation.start_byte, citation.end_byte)
        best = cited.get(place)
        cited[place] = citation if best is None else _joined(best, citation)
    return tuple(cited.values())


def _stands_in(answer: str, texts: Iterable[str]) -> bool:
    return any(find_words(readable(answer), readable(text)) is not None for text in texts)


def _joined(best: Citation, other: Citation) -> Citation:
    level, weight = min(best.level, other.level), best.weight + other.weight
    return replace(best, level=level, weight=weight)


def _read_passage(store: AbstractStore, hit: Hit, places: Places) -> Passage:
    node, read = hit.node.byte_span, hit.byte_span
    span = Span(min(node.start, read.start), max(node.stop, read.stop))
    excerpt = read_excerpt(store, hit.source, span, _REACH_BYTES)
    return Passage(hit, excerpt, outline_of(store, hit.source, span.start), places)
