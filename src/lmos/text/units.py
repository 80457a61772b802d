"""Units: a text as its sentences, list items, table rows, turns and short blocks of code.

A heading, a date, a label or a number belongs to the unit that follows it. Every unit is judged
from its own start and a bounded look ahead, with no memory of what came before, so that text added
in pieces is cut as it would have been in one. Knows neither tokens nor windows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from lmos.text.lines import (
    LABEL_RANK,
    NUMBER_RANK,
    STRUCTURES,
    Kind,
    could_be_separator,
    is_row,
    is_separator,
    is_settled,
    kind_of,
    rank_of,
    underline_rank,
)
from lmos.text.sentences import END, is_end
from lmos.text.wrapping import is_wrapped, trails

_PLACE = re.compile(rf"{END}|[^\S\n]*\n\s*")
_CLOSING_FENCE = re.compile(r"\n[ \t]*(?:```+|~~~+)[ \t]*(?=\n|$)")
_BARE_FENCE = re.compile(r"(?:```+|~~~+)[ \t]*$")
_BLANK = re.compile(r"[^\S\n]*(?:\n[^\S\n]*\n|\n?[^\S\n]*\Z)")
_INDENT = 2
_MARK = "\ufeff"
_FINAL = frozenset({Kind.HEADING, Kind.FENCE, Kind.ROW, Kind.TURN, Kind.KEY})
"""Kinds that a line keeps, whatever follows in it."""
_UNJOINED = frozenset({Kind.ROW, Kind.TURN, Kind.RECORD, Kind.FENCE, Kind.RULE})


class Unit(NamedTuple):
    """Where a unit ends and what it is.

    Attributes:
        stop: Just after it, in characters of the text.
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
        max_bytes: A unit has at most so many, in UTF-8, unless one character has more.
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


def may_join(before: str, first: Unit, second: Unit) -> bool:
    """Whether a span may hold two neighbouring units, of which `before` is the first.

    Not across a heading or a blank line, save between items of a list, and neither table rows nor
    turns nor blocks of code with anything else.
    """
    gap = before[len(before.rstrip()) :]
    if second.is_opened:
        return False
    if "\n" not in gap:
        return True
    if first.kind in _UNJOINED or second.kind in _UNJOINED:
        return False
    if Kind.ITEM in (first.kind, second.kind):
        return first.kind is second.kind
    return gap.count("\n") == 1


class _Cutter:
    """Looks for the end of one unit.

    Places where it may end are asked in their order. Each says yes or no for good, or that this
    depends on text that is not there yet; then the unit takes the rest.

    Args:
        text: From the unit's start on, one character more than it may have, if there are so many.
        reach: It has at most so many characters.
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
        self.kind = Kind.PROSE
        self.rank: int | None = None

    def find_stop(self) -> int:
        """Where the unit ends, counted from its start."""
        self._begin(self._skip_marks())
        place = self._body
        while True:
            if self.kind is Kind.FENCE and (stop := self._code_stop()):
                return stop
            match = _PLACE.search(self._text, max(place, self._body))
            if match is None or match.end() >= len(self._text) or match.end() > self._reach:
                return self._rest()
            stop = self._judge(match)
            if stop is None and self._is_open:
                return self._rest()
            if stop:
                return stop
            place = match.end()

    def _rest(self) -> int:
        """All that is there, or as much as the unit may have."""
        if self._is_open:
            return len(self._text)
        head = self._text[: self._reach]
        return self._soft if self._soft > len(head) // 2 else head.rfind(" ") + 1 or len(head)

    def _begin(self, place: int) -> None:
        """Look at a new line or sentence from here on."""
        self._body = place
        self.kind = kind_of(self._line(place))

    def _line(self, place: int) -> str:
        stop = self._text.find("\n", place)
        return self._text[place : len(self._text) if stop < 0 else stop]

    def _is_cut(self, place: int) -> bool:
        """Whether more may follow in the line at a place that is not there yet."""
        return self._is_open and "\n" not in self._text[place:]

    def _open(self, rank: int, place: int, gap: str) -> int | None:
        """Take what was looked at for a heading of what follows.

        It ends as a unit of its own where one as high follows: it has nothing below it.
        """
        self.rank = rank
        self._begin(place)
        line = self._line(place)
        if "\n" not in gap or (self._is_cut(place) and is_settled(line)):
            return 0
        if self._is_cut(place) and (rank >= LABEL_RANK or kind_of(line) not in _FINAL):
            return None
        following = rank_of(line)
        return place if following is not None and following <= rank else 0

    # Code

    def _code_stop(self) -> int | None:
        """Where a block of code ends; one with no end within reach is cut line by line."""
        line = self._line(self._body)
        after = self._body + len(line)
        if not (_BARE_FENCE.match(line) and _BLANK.match(self._text, after)):
            closing = _CLOSING_FENCE.search(self._text, self._body)
            after = closing.end() if closing else len(self._text)
        stop = self._skip_space(after)
        if stop < len(self._text) and stop <= self._reach:
            return stop
        if self._is_open:
            return len(self._text)
        self.kind = Kind.PROSE
        below = self._skip_space(self._body + len(line))
        self._body = below if below < len(self._text) else self._body
        return None

    def _skip_marks(self) -> int:
        """Where the text begins, after white space and a byte order mark."""
        start = self._skip_space(0)
        return self._skip_space(start + 1) if self._text[start : start + 1] == _MARK else start

    def _skip_space(self, place: int) -> int:
        rest = self._text[place:]
        return place + len(rest) - len(rest.lstrip())

    # Places

    def _judge(self, match: re.Match[str]) -> int | None:
        """Where the unit ends if it does so here, 0 if it does not; `None` if that is open."""
        is_stop = self._judge_break(match) if "\n" in match.group() else self._judge_space(match)
        if not is_stop:
            self._soft = max(self._soft, match.end() if "\n" in match.group() else 0)
        return is_stop

    def _judge_space(self, match: re.Match[str]) -> int | None:
        """Within a line."""
        if self.kind is Kind.HEADING:
            return 0
        stop = is_end(self._text, self._body, match, is_open=self._is_open)
        if not stop:
            return None if stop is None else 0
        if is_row(self._last_line(match)):
            self.kind = Kind.ROW
        if self.kind in STRUCTURES:
            self._soft = match.end()
            return 0
        quoted = self._is_quoted(match)
        if quoted is not False:
            return None if quoted is None else 0
        rank = rank_of(self._text[self._body : match.end()])
        if rank is not None and (rank != NUMBER_RANK or self._text[match.end()].isalpha()):
            return self._open(rank, match.end(), match.group())
        return match.end()

    def _last_line(self, match: re.Match[str]) -> str:
        """The line before a place, up to it."""
        first = max(self._body, self._text.rfind("\n", 0, match.start()) + 1)
        return self._text[first : match.start()]

    def _is_quoted(self, match: re.Match[str]) -> bool | None:
        """Whether a place is in a bold phrase or a quoted field that its line begins with."""
        line = self._line(self._body)
        mark = line[:2] if line.startswith(("**", "__")) else '"' if line[:1] == '"' else ""
        if not mark or match.start() > self._body + len(line):
            return False
        closing = line.find(mark, len(mark))
        if closing < 0:
            return None if self._is_cut(self._body) else False
        is_within = match.end() <= self._body + closing
        rest = line[closing + 1 : closing + 3]
        if mark == '"' and is_within and len(rest) < 2:
            return None if self._is_cut(self._body) else False
        is_field = rest[:1] in (",", ";", "\t") and not rest[1:].isspace()
        return is_within and (mark != '"' or is_field)

    def _judge_break(self, match: re.Match[str]) -> int | None:
        """At the end of a line."""
        place, is_blank = match.end(), match.group().count("\n") > 1
        text = self._text[self._body : place].strip()
        rank = rank_of(text) if "\n" not in text else None
        if rank is None and text.endswith((":", "：")):
            rank = LABEL_RANK
        if rank is not None:
            return self._open(rank, place, match.group())
        if is_blank or _BARE_FENCE.match(self._last_line(match).strip()):
            return place
        if self._text[place] in "`~":
            return self._judge_fence(place)
        if is_row(self._last_line(match)):
            self.kind = Kind.ROW
        if self.kind in STRUCTURES:
            return self._judge_structure(match)
        return self._judge_line(match)

    def _judge_fence(self, place: int) -> int | None:
        """Before a line that may close a block of code of which the beginning is not known."""
        if self._is_cut(place):
            return None
        line = self._line(place)
        after = _BLANK.match(self._text, place + len(line))
        if _BARE_FENCE.match(line) and after:
            return None if self._is_open and after.end() >= len(self._text) else 0
        return place

    def _judge_structure(self, match: re.Match[str]) -> int | None:
        """After a line that is a unit: does it go on?"""
        place = match.end()
        line, is_cut = self._line(place), self._is_cut(place)
        if self.kind is Kind.ROW:
            if is_cut and could_be_separator(line):
                return None
            return 0 if is_separator(line) and not is_separator(self._last_line(match)) else place
        if self.kind not in (Kind.ITEM, Kind.TURN, Kind.RECORD):
            return place
        indent = len(match.group().rsplit("\n", 1)[1].expandtabs(4))
        is_below = self.kind is Kind.ITEM and indent >= _INDENT
        if not is_below and not line[:1].islower():
            return place
        goes_on = 0 if is_below else self._wrap(match)
        return goes_on if goes_on is None or goes_on else self._unless_structure(match)

    def _unless_structure(self, match: re.Match[str]) -> int | None:
        """Go on after a line break, if the next line is prose."""
        place = match.end()
        line = self._line(place)
        if self._is_cut(place) and not is_settled(line):
            return place if kind_of(line) in _FINAL else None
        rank = rank_of(line)
        if rank == LABEL_RANK and line[0].islower():
            rank = None
        is_heading = rank is not None and not trails(self._last_line(match))
        return place if is_heading or kind_of(line) is not Kind.PROSE else 0

    def _judge_line(self, match: re.Match[str]) -> int | None:
        """After a line of prose."""
        place, is_marked = match.end(), not match.group()[0].isspace()
        stop = is_marked and is_end(self._text, self._body, match, is_open=self._is_open)
        if stop or stop is None:
            return self._setext(match, "=") if stop else None
        heading = self._setext(match, "=-")
        if heading != place:
            return heading
        goes_on = 0 if is_marked else self._wrap(match)
        return goes_on if goes_on is None or goes_on else self._unless_structure(match)

    def _wrap(self, match: re.Match[str]) -> int | None:
        goes_on = is_wrapped(
            self._text, self._body, match, is_open=self._is_open, is_inside=self._is_inside
        )
        return None if goes_on is None else 0 if goes_on else match.end()

    def _setext(self, match: re.Match[str], marks: str) -> int | None:
        """Just before the next line, or what follows from it if it makes a heading of this one."""
        place = match.end()
        if self._text[place] not in marks:
            return place
        line = self._line(place)
        if self._is_cut(place):
            return None
        rank = underline_rank(line)
        if rank is None:
            return place
        below = place + len(line)
        stop = self._skip_space(below)
        if stop >= len(self._text) or stop > self._reach:
            return None
        return self._open(rank, stop, self._text[below:stop])
