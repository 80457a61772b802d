"""Excerpts: a stretch of a source with the text around it, and its words and sentences whole.

Offsets are bytes of the source throughout. Knows neither models nor why a stretch was chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from lmos.nodes import Source, Span
from lmos.store import AbstractStore
from lmos.text.lines import Kind, kind_of
from lmos.text.normal import trim
from lmos.text.units import iter_units

_SAID = (Kind.TURN, Kind.RECORD)
_QUESTION_MARKS = ("?", "？", "؟", "\u037e")
_MAX_SENTENCE_BYTES = 4096
"""Of a longer one only a part is cited; bounds the work of looking for its ends."""


@dataclass(frozen=True)
class Excerpt:
    """Some text of a source.

    Attributes:
        start: Where `text` begins, in bytes of the source.
        text: Whole characters, UTF-8.
        is_head: Whether the source begins here.
        is_tail: Whether it ends here.
    """

    start: int
    text: bytes
    is_head: bool
    is_tail: bool

    def decode(self, span: Span) -> str:
        """The text of a span, as far as it lies in the excerpt."""
        first, last = (max(0, offset - self.start) for offset in span)
        return self.text[first:last].decode(errors="replace")

    def words_around(self, span: Span) -> Span:
        """The span and the rest of the words that it begins and ends in.

        A word that does not end in the excerpt is left as it is cut.
        """
        first, last = span.start - self.start, span.stop - self.start
        while first > 0 and not self._is_gap(first):
            first -= 1
        while last < len(self.text) and not self._is_gap(last):
            last += 1
        return Span(
            self.start + first if first or self.is_head else span.start,
            self.start + last if last < len(self.text) or self.is_tail else span.stop,
        )

    def sentences_around(self, span: Span) -> Span:
        """The span and the rest of the sentences that it touches, without blanks around them.

        What is one unit of a text (`units`) is one sentence here: an item of a list, a row, a
        heading with what follows it. Where none begins or ends in the excerpt, words are kept
        whole.
        """
        words = self.words_around(span)
        borders = self._sentence_borders()
        first = max((place for place in borders if place <= span.start), default=words.start)
        last = min((place for place in borders if place >= span.stop), default=words.stop)
        text = self.text[first - self.start : last - self.start].decode(errors="replace")
        start, stop = trim(text)
        if start == stop:
            return span
        return Span(first + len(text[:start].encode()), last - len(text[stop:].encode()))

    def exchange_around(self, span: Span) -> Span:
        """The sentences around a span and, if it ends with what somebody asks in a talk, the reply.

        A question alone tells nothing.
        """
        found = self.sentences_around(span)
        asked = self.decode(found).rsplit("\n", 1)[-1]
        if kind_of(asked) not in _SAID or not asked.rstrip().endswith(_QUESTION_MARKS):
            return found
        borders = [place for place in self._sentence_borders() if place >= found.stop]
        end = self.start + len(self.text)
        first, last = (*borders[:2], end, end)[:2]
        reply = self.decode(Span(first, last))
        if kind_of(reply.partition("\n")[0]) not in _SAID:
            return found
        start, stop = trim(reply)
        return Span(found.start, first + len(reply[:stop].encode())) if start < stop else found

    def _is_gap(self, place: int) -> bool:
        """Whether white space stands at one side of a place within the text."""
        return self.text[place - 1 : place].isspace() or self.text[place : place + 1].isspace()

    def _sentence_borders(self) -> list[int]:
        units = iter_units(self.text.decode(), _MAX_SENTENCE_BYTES, is_inside=not self.is_head)
        places = list(accumulate((len(unit.encode()) for unit in units), initial=self.start))
        inner = places[1:-1]
        head = [self.start] if self.is_head else []
        tail = [self.start + len(self.text)] if self.is_tail else []
        return [*head, *inner, *tail]


def read_excerpt(store: AbstractStore, source: Source, span: Span, reach: int = 0) -> Excerpt:
    """A span with up to `reach` bytes on each side; characters that are cut are left out."""
    start = max(0, span.start - reach)
    raw = store.text(source.source_id, Span(start, span.stop + reach))
    return cut_excerpt(raw, start, source.num_bytes)


def cut_excerpt(raw: bytes, start: int, num_bytes: int) -> Excerpt:
    """The whole characters of `raw`, which stands at `start` in a source of `num_bytes`."""
    while raw and raw[0] & 0xC0 == 0x80:
        raw, start = raw[1:], start + 1
    text = raw.decode(errors="ignore").encode()
    return Excerpt(start, text, start == 0, start + len(text) >= num_bytes)
