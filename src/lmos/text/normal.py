"""Normal form: a text with nothing in it that cannot be seen, and where each byte of it came from.

For reading and comparing only: offsets and citations are those of the text as it was added. Knows
no tokenizer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

_UNSEEN = re.compile(
    "[\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]|\r(?=\n)"
)
_JOINER = re.compile(
    # Between letters of Latin, Greek or Cyrillic a joiner says nothing; in Persian or Hindi, and in
    # 👩‍🔬, it does.
    r"(?<![^\x00-\u058f\s])[\u200c\u200d]+|[\u200c\u200d]+(?![^\x00-\u058f\s])"
)
_ODD = re.compile(r"[^\S \t\n]|[\u200c\u200d]")
_LINE_ENDS = frozenset("\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")
_SPACES = re.compile(r"(?<=\S)[^\S\n]+")
_LINE_END = re.compile(r"(?<!\r)\r\n")
_TRAILING = re.compile(r"[^\S\n]+$", re.MULTILINE)
_INDENT = re.compile(r"^[^\S\n]+", re.MULTILINE)


class Seen(NamedTuple):
    r"""A text as it is seen.

    Attributes:
        text: Composed characters (NFC), no soft hyphens, marks of direction or byte order, or
            characters without width; every space a plain one, every end of a line a `\n`.
        origins: For each place between bytes of it, the first to the last, the byte of the original
            text that stands there; never decreasing. What is not seen belongs to the character
            before it, or to the first.
    """

    text: str
    origins: Sequence[int]


def see(text: str) -> Seen:
    r"""A text as it is seen; of two that look the same, the same.

    Example:
        >>> see("Cafe\u0301\u00a0au")
        Seen(text='Café au', origins=[0, 1, 2, 3, 6, 6, 8, 9, 10])
    """
    if _is_plain(text):
        return Seen(text, range(len(text.encode()) + 1))
    ends = list(accumulate(len(char.encode()) for char in text))
    text, ends = _drop(_UNSEEN, text, ends)
    text, ends = _drop(_JOINER, text, ends)
    pieces: list[str] = []
    origins = [0]
    for start, stop in _iter_clusters(text):
        piece = unicodedata.normalize("NFC", "".join(map(_plain, text[start:stop])))
        pieces.append(piece)
        origins += [ends[stop - 1]] * len(piece.encode())
    return Seen("".join(pieces), origins)


def readable(text: str) -> str:
    r"""A text as the reader reads it: as it is seen, with one space where there were several.

    None are at the ends of lines. The indent of a line stays, in spaces: it may say to what it
    belongs.

    Example:
        >>> readable("Cafe\u0301 \u00a0 au\u00ad lait\ufeff \r\n")
        'Café au lait\n'
    """
    # What see makes of it too, but one character at a time.
    text = _LINE_END.sub("\n", text) if "\r" in text else text
    text = _TRAILING.sub("", see(text).text)
    text = _INDENT.sub(lambda match: " " * len(match.group().expandtabs(4)), text)
    return _SPACES.sub(" ", text)


def trim(text: str) -> tuple[int, int]:
    """Where a text begins and ends, in characters, without what cannot be seen around it."""
    start, stop = 0, len(text)
    while start < stop and _is_blank(text[start]):
        start += 1
    while stop > start and _is_blank(text[stop - 1]):
        stop -= 1
    return start, stop


def _is_blank(char: str) -> bool:
    return char.isspace() or _UNSEEN.match(char) is not None


def _is_plain(text: str) -> bool:
    """Whether a text looks as it is."""
    is_odd = _ODD.search(text) or _UNSEEN.search(text)
    return not is_odd and unicodedata.is_normalized("NFC", text)


def _drop(pattern: re.Pattern[str], text: str, ends: Sequence[int]) -> tuple[str, list[int]]:
    """Leave out what matches; it goes to the character before."""
    dropped = {place for match in pattern.finditer(text) for place in range(*match.span())}
    chars: list[str] = []
    kept_ends: list[int] = []
    for place, (char, end) in enumerate(zip(text, ends, strict=True)):
        if place not in dropped:
            chars.append(char)
            kept_ends.append(end)
        elif chars:
            kept_ends[-1] = end
    return "".join(chars), kept_ends


def _plain(char: str) -> str:
    """White space as a space, a tab or the end of a line."""
    if char in _LINE_ENDS:
        return "\n"
    return " " if char.isspace() and char not in "\t\n" else char


def _iter_clusters(text: str) -> Iterator[tuple[int, int]]:
    """Stretches of a text of which each is composed by itself."""
    start = 0
    for place in range(1, len(text)):
        if not _may_compose(text[place]):
            yield start, place
            start = place
    if text:
        yield start, len(text)


def _may_compose(char: str) -> bool:
    """Whether a character may become one with those before it: a mark, or a part of Hangul."""
    is_hangul_part = "\u1160" <= char <= "\u11ff"
    return is_hangul_part or unicodedata.category(char).startswith("M")
