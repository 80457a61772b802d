"""Text to the words by which leaves are found: the same for a leaf and for a question.

Knows characters. Knows neither languages nor where words are kept.

A word is a run of letters, marks and digits, without case, accents and other differences that a
writer does not mean (compatibility forms, soft hyphens, characters without width). Only its first
letters count, which are the stem in many languages, and of Latin letters not the commonest endings
of English. Scripts that put no spaces between words have each character and each pair of neighbours
as words.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import groupby

_STEM_CHARS = 6
_ENDINGS = ("ing", "ied", "ed", "ie", "e", "y")
_MIN_CHARS = 3
_ACCENTS = range(0x300, 0x370)
_KEPT = "LMN"
# Thai to Myanmar, Khmer, kana, Han, Hangul.
_DENSE = (
    range(0x0E00, 0x10A0),
    range(0x1780, 0x1800),
    range(0x3040, 0x3100),
    range(0x3400, 0xA000),
    range(0xAC00, 0xD7B0),
    range(0x20000, 0x32000),
)


class _Letters(dict[int, str]):
    """What a character counts as, looked up once: itself, a gap, or nothing."""

    def __missing__(self, code: int) -> str:
        kind = unicodedata.category(chr(code))
        self[code] = "" if kind == "Cf" else chr(code) if kind[0] in _KEPT else " "
        return self[code]


_LETTERS = _Letters()


def words_of(text: str) -> list[str]:
    """The words of a text, in order."""
    return [word for run in plain(text).split() for word in _iter_words(run)]


def plain(text: str) -> str:
    """A text as words are cut from it: letters without case and accents, and gaps."""
    if not text.isascii():
        split = unicodedata.normalize("NFKD", text)
        bare = "".join(char for char in split if ord(char) not in _ACCENTS)
        text = unicodedata.normalize("NFKC", bare)
    return text.casefold().translate(_LETTERS)


def is_dense(char: str) -> bool:
    """Whether the script of a character puts no spaces between words."""
    return any(ord(char) in each for each in _DENSE)


def _iter_words(run: str) -> Iterator[str]:
    if run.isascii():
        yield _stem(run)
        return
    for dense, chars in groupby(run, is_dense):
        part = "".join(chars)
        if not dense:
            yield _stem(part)
            continue
        yield from part
        yield from (part[place : place + 2] for place in range(len(part) - 1))


def _stem(word: str) -> str:
    """What most forms of a word have in common; rough, and the same for text and question."""
    if len(word) > _MIN_CHARS and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) >= _MIN_CHARS + len(ending):
            return word[: -len(ending)][:_STEM_CHARS]
    return word[:_STEM_CHARS]
