"""Units: a text as its sentences, list items, table rows, turns and short blocks of code.

A heading, a date, a label or a number belongs to the unit that follows it. Every unit is judged
from its own start and a bounded look ahead, with no memory of what came before, so that text added
in pieces is cut as it would have been in one. Knows neither tokens nor windows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from lmos.lines import (
    MARK_RANK,
    NUMBER_RANK,
    STRUCTURES,
    Kind,
    could_be_separator,
    is_record,
    is_separator,
    is_underline,
    kind_of,
    rank_of,
)
from lmos.sentences import END, is_end
from lmos.wrapping import Paragraph, is_wrapped

_PLACE = re.compile(rf"{END}|[^\S\n]*\n\s*")
_CLOSING_FENCE = re.compile(r"\n[ \t]*(?:```+|~~~+)[ \t]*(?=\n|$)")
_BARE_FENCE = re.compile(r"(?:```+|~~~+)[ \t]*(?:\n|$)")
_BOLD = re.compile(r"(\*\*|__)(?=\S)")
_SETEXT_RANKS = {"=": 1, "-": 2}


class Unit(NamedTuple):
    """Where a unit ends and what it is.

    Attributes:
        stop: Just after it, in characters.
        kind: Of its first line that is not a heading or the like.
        is_opened: Whether it begins with a heading, a date, a label or a number.
    """

    stop: int
    kind: Kind
    is_opened: bool


def iter_units(text: str, max_bytes: int, *, is_inside: bool = False) -> Iterator[str]:
    """Cut text into units, and units longer than `max_bytes` at sentences, lines or spaces.

    The units' concatenation is the text. Every unit but the last is the same whatever follows, and
    cutting anew from the start of any unit gives the same units from there on.

    Args:
        text: Any.
        max_bytes: Of a unit, in UTF-8; one character may have more.
        is_inside: Whether the text may begin in the middle of a sentence.
    """
    start = 0
    while start < len(text):
        stop = find_unit(text, start, max_bytes, is_inside=is_inside and not start).stop
        yield text[start:stop]
        start = stop


def find_unit(text: str, start: int, max_bytes: int, *, is_inside: bool = False) -> Unit:
    """The unit that begins at `start`; looks one character further than it may reach."""
    ahead = text[start : start + max_bytes + 1]
    reach = len(ahead.encode()[:max_bytes].decode(errors="ignore")) or 1
    cutter = _Cutter(ahead[: reach + 1], reach, is_inside=is_inside)
    stop = cutter.find_stop()
    return Unit(start + stop, cutter.kind, cutter.rank is not None)


def may_join(before: str, first: Unit, after: Unit) -> bool:
    """Whether a span may hold two neighbouring units, of which the first is `before`.

    Not across a heading or a blank line, save between items of a list, and neither table rows nor
    turns nor blocks of code with anything else.
    """
    gap = before[len(before.rstrip()) :]
    if after.is_opened:
        return False
    if "\n" not in gap:
        return True
    if {first.kind, after.kind} & {Kind.ROW, Kind.TURN, Kind.RECORD, Kind.FENCE, Kind.RULE}:
        return False
    if Kind.ITEM in (first.kind, after.kind):
        return first.kind is after.kind
    return gap.count("\n") == 1


class _Cutter:
    """Looks for the end of one unit.

    Places where it may end are asked in their order. Each says yes or no for good, or that it
    depends on text that is not there yet; then the unit takes the rest.

    Args:
        text: From the unit's start on, one character more than it may have, if there are so many.
        reach: Most characters that it may have.
        is_inside: Whether it may begin in the middle of a sentence.
    """

    def __init__(self, text: str, reach: int, *, is_inside: bool) -> None:
        self._text = text
        self._reach = reach
        self._is_inside = is_inside
        self._is_open = len(text) <= reach
        self._body = 0
        """Where the sentence or the line begins that is looked at."""
        self._soft = 0
        """The last place where a unit that is too long can be cut well."""
        self._lines = 0
        self.kind = Kind.PROSE
        self.rank: int | None = None

    def find_stop(self) -> int:
        """Where the unit ends, counted from its start."""
        self._begin(len(self._text) - len(self._text.lstrip()))
        stop = self._code_stop() if self.kind is Kind.FENCE else None
        place = self._body
        while stop is None:
            match = _PLACE.search(self._text, place)
            if match is None or match.end() >= len(self._text) or match.end() > self._reach:
                break
            body = self._body
            is_stop = self._judge(match)
            if is_stop is None and self._is_open:
                break
            if is_stop:
                stop = match.end()
            elif self._body > body and self.kind is Kind.FENCE:
                stop = self._code_stop()
            place = max(match.end(), self._body)
        return self._rest() if stop is None else stop

    def _rest(self) -> int:
        if self._is_open:
            return len(self._text)
        head = self._text[: self._reach]
        return self._soft or head.rfind(" ") + 1 or len(head)

    def _begin(self, place: int) -> None:
        """Look at a new line or sentence from here on."""
        self._body = place
        self._lines = 0
        self.kind = kind_of(self._line(place)) if place < len(self._text) else Kind.PROSE
        if self.kind is Kind.ROW and self._text[place] != "|":
            # That depends on the whole line; `_is_inside_row` asks again, place by place.
            self.kind = Kind.PROSE

    def _line(self, place: int) -> str:
        stop = self._text.find("\n", place)
        return self._text[place : len(self._text) if stop < 0 else stop]

    def _is_complete(self, place: int) -> bool:
        """Whether the line at a place has its end here, or never will."""
        return not self._is_open or "\n" in self._text[place:]

    def _open(self, rank: int, place: int) -> bool | None:
        """Take what was looked at for a heading of what follows, unless nothing may follow it."""
        self.rank = rank
        self._begin(place)
        if not self._is_complete(place) and rank_of(self._line(place)[:1] + "#") is None:
            pass
        following = rank_of(self._line(place))
        return following is not None and following <= rank
