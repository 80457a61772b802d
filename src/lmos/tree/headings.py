"""Headings: what a place in a source stands under: its headings, dates, label and columns.

Only a bounded stretch before the place is read, and what was found is kept for the stretches that
were asked about last. Knows the texts of a store; knows neither units nor why a place is asked
about.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from lmos.nodes import Source, Span
from lmos.store import AbstractStore
from lmos.text.abbreviations import DATE_WORDS
from lmos.text.lines import LABEL_RANK, Kind, is_separator, kind_of, rank_of, underline_rank
from lmos.text.normal import readable
from lmos.text.tables import FIELD_MARKS, find_columns, row_of

_BLOCK_BYTES = 1 << 14
"""Text is looked through in blocks of this size: that of the place and the one before."""
_BEYOND_BYTES = 1 << 10
"""And a little of the next, for headings and tables of several lines."""
_MAX_LINE_BYTES = 400
"""A longer line is no heading, whatever it begins with."""
_MAX_TITLE = 100
_KEPT_TEXTS = 128
_WORD = re.compile(r"[^\W\d_]*")
_FENCE = re.compile(r"\s*(`{3,}|~{3,})\s*([^`\s]*)")


@dataclass(frozen=True)
class Place:
    """What some text stands under.

    Attributes:
        headings: From the highest to the lowest: headings, bold lines, dates, the label of a list.
        columns: The head of the table that it is a row of, if it is one.
    """

    headings: tuple[str, ...] = ()
    columns: str | None = None


@dataclass(frozen=True)
class _Mark:
    """A line from which on the place is another.

    Attributes:
        start: First byte of the line.
        body: First byte of the next line that is not blank.
        place: What is below it.
    """

    start: int
    body: int
    place: Place


class Outline:
    """The headings of a text.

    Args:
        marks: In the order of the text.
    """

    def __init__(self, marks: Sequence[_Mark]) -> None:
        self._marks = marks
        self._starts = [mark.start for mark in marks]

    def place(self, span: Span) -> Place:
        """What a span stands under; of headings that it begins with, it stands under these too."""
        index = bisect_right(self._starts, span.start) - 1
        for following in self._marks[index + 1 :]:
            is_heading = index >= 0 and span.start < self._marks[index].body
            if not is_heading or not following.start < min(self._marks[index].body + 1, span.stop):
                break
            index += 1
        return self._marks[index].place if index >= 0 else Place()


def place_of(store: AbstractStore, source: Source, span: Span) -> Place:
    """What a span of a source stands under.

    Looks back 16 to 32 KiB. What stands further up is not known, but for the columns of a table
    that the source begins with.
    """
    return outline_of(store, source, span.start).place(span)


def outline_of(store: AbstractStore, source: Source, place: int) -> Outline:
    """The outline of a source around a place, with the bytes of the source."""
    number = place // _BLOCK_BYTES
    start = max(0, number - 1) * _BLOCK_BYTES
    stop = min(source.num_bytes, (number + 1) * _BLOCK_BYTES + _BEYOND_BYTES)
    head = store.text(source.source_id, Span(0, _BEYOND_BYTES)) if start else b""
    return find_outline(store.text(source.source_id, Span(start, stop)), start, head)


@lru_cache(maxsize=_KEPT_TEXTS)
def find_outline(text: bytes, start: int = 0, head: bytes = b"") -> Outline:
    """The outline of some text of a source.

    Args:
        text: What is looked through.
        start: Where it begins in its source.
        head: What its source begins with, if `text` is not that.
    """
    lines = list(_iter_lines(text, start))
    # The first line may be the end of one.
    lines = lines[1:] if start else lines
    heads = [line.text for line in _iter_lines(head, 0)] if head else []
    marks, open_fence = _Scan(lines, heads).run()
    if open_fence is not None:
        # A fence that nothing closes is no code, or all below it would have no headings.
        marks, _ = _Scan(lines, heads, open_fence).run()
    return Outline(marks)


def without_headings(text: str, headings: Sequence[str]) -> str:
    """A text without the headings that it begins with, unless it is nothing else."""
    rest = text
    while True:
        line, _, below = rest.partition("\n")
        is_heading = _title(line) in headings or underline_rank(line) is not None
        if line.strip() and not is_heading:
            return rest
        if not below.strip():
            return text
        rest = below


class _Line(NamedTuple):
    text: str
    start: int
    stop: int
    is_blank: bool


def _iter_lines(text: bytes, start: int) -> Iterator[_Line]:
    for raw in text.split(b"\n"):
        stop = start + len(raw) + 1
        line = raw.decode(errors="replace").lstrip("\ufeff")
        yield _Line(line, start, stop, not line.strip())
        start = stop


class _Scan:
    """Goes through the lines of a text once.

    Args:
        lines: All of them.
        heads: The first lines of the source, if others are looked at.
        ignored: Number of a line that is not to be read as the beginning of code.
    """

    def __init__(
        self, lines: Sequence[_Line], heads: Sequence[str], ignored: int | None = None
    ) -> None:
        self._lines = lines
        self._heads = heads
        self._ignored = ignored
        self._marks: list[_Mark] = []
        self._stack: list[tuple[int, str]] = []

    def run(self) -> tuple[list[_Mark], int | None]:
        """The marks, and the number of the line that begins code that does not end."""
        number = self._first_table_stop()
        while number < len(self._lines):
            line = self._lines[number]
            if (fence := _FENCE.match(line.text)) and number != self._ignored:
                stop = self._code_stop(number, fence.group(1))
                if stop is None:
                    return self._marks, number
                number = stop
                continue
            number = self._read(number)
        return self._marks, None

    def _code_stop(self, number: int, fence: str) -> int | None:
        """The number of the line after a block of code."""
        for stop in range(number + 1, len(self._lines)):
            closing = _FENCE.match(self._lines[stop].text)
            if closing and closing.group(1).startswith(fence) and not closing.group(2):
                return stop + 1
        return None

    def _read(self, number: int) -> int:
        """Take in a line that is not code; returns the number of the next one to read."""
        line = self._lines[number]
        if line.is_blank:
            return number + 1
        self._leave_list(line)
        if self._is_plain(number):
            return number + 1
        if table := self._table_stop(number):
            return table
        if line.stop - line.start > _MAX_LINE_BYTES:
            return number + 1
        rank, num_lines = self._heading(number)
        if rank is None:
            return number + 1
        below = number + num_lines
        while below < len(self._lines) and self._lines[below].is_blank:
            below += 1
        self._push(rank, line, self._lines[min(below, len(self._lines) - 1)].start)
        return below

    def _is_plain(self, number: int) -> bool:
        """Whether a line cannot be anything but text, asked first because most are that."""
        text = self._lines[number].text
        below = self._lines[number + 1].text[:1] if number + 1 < len(self._lines) else ""
        is_marked = not text[:1].isalpha() or text.rstrip()[-1] in ":：" or below in ("=", "-")
        if is_marked or _first_word(text) in DATE_WORDS:
            return False
        return not self._may_begin_table(number)

    def _may_begin_table(self, number: int) -> bool:
        """Whether a line has what a head of a table needs at least."""
        text = self._lines[number].text
        return "|" in text or (self._is_first(number) and any(m in text for m in FIELD_MARKS))

    def _leave_list(self, line: _Line) -> None:
        """A label is above its list and no further."""
        is_indented = line.text[:2].isspace()
        if not self._stack or self._stack[-1][0] != LABEL_RANK or is_indented:
            return
        if kind_of(line.text) is not Kind.ITEM:
            self._stack.pop()
            self._mark(line.start, line.start)

    def _heading(self, number: int) -> tuple[int | None, int]:
        """How high a line stands as a heading, and how many lines the heading has."""
        text = self._lines[number].text
        rank = self._setext_rank(number)
        if rank is not None:
            return (rank, 2) if _title(text) else (None, 1)
        rank = rank_of(text)
        if rank is None or rank < 1 or rank > LABEL_RANK:
            return None, 1
        if rank < 7 and (text.startswith(("    ", "\t")) or len(text) > 4 * _MAX_TITLE):
            return None, 1
        is_label = rank == LABEL_RANK
        is_heading = (not is_label or self._is_above_list(number)) and _title(text)
        return (rank if is_heading else None), 1

    def _setext_rank(self, number: int) -> int | None:
        """Of a single line of prose above a row of dashes."""
        text = self._lines[number].text
        is_first = self._is_first(number)
        if not is_first or number + 1 == len(self._lines) or kind_of(text) is not Kind.PROSE:
            return None
        is_sentence = text.rstrip().endswith((".", "!", ":", ",", ";"))
        rank = underline_rank(self._lines[number + 1].text)
        return None if len(text) > _MAX_TITLE or (is_sentence and rank == 2) else rank

    def _is_above_list(self, number: int) -> bool:
        below = (line for line in self._lines[number + 1 : number + 3] if not line.is_blank)
        first = next(below, None)
        return (
            first is not None
            and kind_of(self._lines[number].text) is Kind.PROSE
            and kind_of(first.text) is Kind.ITEM
        )

    def _push(self, rank: int, line: _Line, body: int) -> None:
        while self._stack and self._stack[-1][0] >= rank:
            self._stack.pop()
        self._stack.append((rank, _title(line.text)))
        self._mark(line.start, body)

    def _mark(self, start: int, body: int, columns: str | None = None) -> None:
        headings = tuple(title for _, title in self._stack)
        self._marks.append(_Mark(start, body, Place(headings, columns)))

    def _first_table_stop(self) -> int:
        """The number of the line after the rows of a table that the source begins with."""
        columns = find_columns(self._heads[:3], is_first=True) if self._heads else None
        if columns is None:
            return 0
        return self._rows_stop(0, self._heads[0], columns)

    def _is_first(self, number: int) -> bool:
        """Whether nothing stands right above a line."""
        return self._lines[number - 1].is_blank if number else not self._heads

    def _table_stop(self, number: int) -> int | None:
        """The number of the line after a table that begins here."""
        if not self._may_begin_table(number) or number + 1 == len(self._lines):
            return None
        texts = [line.text for line in self._lines[number : number + 3]]
        columns = find_columns(texts, is_first=self._is_first(number))
        if columns is None:
            return None
        first = number + 2 if is_separator(texts[1]) else number + 1
        return self._rows_stop(first, texts[0], columns)

    def _rows_stop(self, first: int, head: str, columns: str) -> int:
        """The number of the line after the rows of a table, the first of which is known."""
        stop, is_row = first, row_of(head)
        while stop < len(self._lines) and is_row(self._lines[stop].text):
            stop += 1
        if stop > first:
            self._mark(self._lines[first].start, self._lines[first].start, columns)
        if first < stop < len(self._lines):
            self._mark(self._lines[stop].start, self._lines[stop].start)
        return stop


def _first_word(line: str) -> str:
    match = _WORD.match(line)
    return match[0].lower() if match else ""


def _title(line: str) -> str:
    """The words of a heading."""
    text = readable(line).strip()
    if text.startswith("#"):
        text = text.strip("#").strip()
    return text.strip("*_` ").rstrip(".:： ").strip("*_` ")
