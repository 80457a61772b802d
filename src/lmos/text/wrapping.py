"""Wrapping: does a sentence go on after the end of a line?

Judged by the two lines and, where they leave it open, by the shape of the paragraph. Knows neither
abbreviations nor where else a sentence may end.
"""

from __future__ import annotations

import re

from lmos.text.abbreviations import CONNECTIVES, STARTERS
from lmos.text.lines import Kind, is_row, is_settled, kind_of, rank_of

_LONG_LINE = 40
_MIN_WORDS = 3
_FIRST_WORD = re.compile(r"""["'“”„‚‘’«‹»›(\[{¿¡*_「『（]*([\w'’-]*)""")
_SENTENCE_END = re.compile(r"""[.!?…。！？।؟]["'”’»)\]*_]*(?:\s|$)""")
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")
_SMALL_START = re.compile(r"\n[ \t]*[a-zß-öø-ÿ]")
_TRAILING = (",", "-", "–", "—", "(", "&", "/")


def is_wrapped(
    text: str, start: int, match: re.Match[str], *, is_open: bool, is_inside: bool
) -> bool | None:
    """Whether a sentence goes on after a line break, before which it has no end.

    Args:
        text: The sentence and what follows.
        start: Where the sentence begins.
        match: The break, in `text`.
        is_open: Whether more text may follow that is not here yet.
        is_inside: Whether the sentence may have begun before.

    Returns:
        `None` if that depends on text that is not there yet.
    """
    sentence = text[start : match.start()].rstrip()
    line = sentence[sentence.rfind("\n") + 1 :]
    if line.endswith((";", "{", "}")) or is_row(line):
        return False
    following = _FIRST_WORD.match(text, match.end())
    assert following is not None
    word = following.group(1)
    if word[:1].islower():
        return is_inside or not sentence[:1].islower() or len(line) >= _LONG_LINE or trails(line)
    if is_open and following.end() >= len(text):
        return None
    if not word[:1].isalnum():
        return trails(line)
    if word.lower() in STARTERS and word != "I":
        return False
    return trails(line) or _is_in_wrapped_paragraph(text, start, match, word, is_open)


def trails(line: str) -> bool:
    """Whether a line ends with a word or a mark that something must follow."""
    stripped = line.rstrip()
    if stripped.endswith(_TRAILING):
        return True
    words = stripped.rsplit(maxsplit=1)
    return len(words) == 2 and words[1].lower() in CONNECTIVES and words[1].islower()


def _is_in_wrapped_paragraph(
    text: str, start: int, match: re.Match[str], word: str, is_open: bool
) -> bool | None:
    """Whether a capital, or a number, after a break is in the middle of a sentence.

    It is where the paragraph has sentences with ends, and lines as full as the next word allows.
    The first line may have begun before the sentence, so nothing is asked of its length.
    """
    before = text[start : match.start()].split("\n")
    if not _ends_plainly(before[-1]) or (
        len(before[-1].split()) < _MIN_WORDS and word[0].isascii()
    ):
        return False
    below, is_whole = _paragraph(text[match.end() :], is_open)
    lines = below.split("\n")
    width = max(len(line.rstrip()) for line in [*before, *lines])
    is_full = len(before) == 1 or len(before[-1].rstrip()) + 1 + len(word) > width
    if not is_full:
        return False
    has_end = _SENTENCE_END.search(below) or any(line.lstrip()[:1].islower() for line in lines[1:])
    if is_whole or (has_end and len(before) == 1):
        return bool(has_end)
    return None


def _paragraph(text: str, is_open: bool) -> tuple[str, bool]:
    """The lines of prose that a text begins with, as far as they are known to be that.

    Returns:
        The lines, and whether there are no more.
    """
    block = _BLANK_LINE.split(text, maxsplit=1)
    if not _SENTENCE_END.search(block[0]) and not _SMALL_START.search(block[0]):
        # Nothing to look for.
        return "", len(block) > 1 or not is_open
    lines: list[str] = []
    all_lines = text.split("\n")
    for number, line in enumerate(all_lines, 1):
        if is_open and number == len(all_lines):
            return "\n".join([*lines, line] if is_settled(line) else lines), False
        if not line.strip() or kind_of(line) is not Kind.PROSE or rank_of(line) is not None:
            break
        lines.append(line)
    return "\n".join(lines), True


def _ends_plainly(line: str) -> bool:
    """Whether a line ends with a plain word, as few titles and notes without a period do."""
    last = line.split()[-1]
    return last.isalpha() and not last.isupper() and not last.istitle()
