"""Content of answers: do two answers say the same, whatever words stand around it?

Knows words only; knows neither models nor questions.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable

from lmos.text.abbreviations import PLACES, TITLES

_ARTICLES = frozenset(("a", "an", "the"))
_MARKS = string.punctuation + "“”‘’«»„…–—·¿¡"
_F1_OF_SAME = 0.6
_LONG_ANSWER = 12
"""Words from which on holding the right ones among others is no longer an answer."""
_CLOSING = ".,;:!?)]}>\"'”’»…"
_NAME = r"(?:[^\W\d_a-zß-öø-ÿ]\.|[^\W\d_a-zß-öø-ÿ][\w'’-]+)"
_DIGIT_GROUPS = re.compile(r"\d[ -]\d+$")
_NUMBER = re.compile(r"(?:^|[\s$€£(])[\d.,]+$")
"""A number at the end: only in one may a comma stand, and only before a digit."""
_POLAR = frozenset(("yes", "no"))
_POLAR_ELSEWHERE = frozenset(
    "ja nein oui non sí si no nee sim não nao nej tak nie yes да нет はい いいえ".split()
)


def words_of(answer: str) -> list[str]:
    """Words in lower case, without articles and without the marks at their ends.

    Marks inside of a word stay: `1,250.50` and `oskar@posteo.net` are one word each.
    """
    text = unicodedata.normalize("NFKC", answer).casefold()
    words = [word.strip(_MARKS) for word in re.split(r"[\s/]+", text)]
    return [word for word in words if word and word not in _ARTICLES]


def is_exact(said: str, wanted: str) -> bool:
    """Exact match, as it is usually taken: without case, articles and punctuation."""
    return _bare(said) == _bare(wanted)


def f1(said: str, wanted: str) -> float:
    """Harmonic mean of the shares of words of each that stand in the other, as SQuAD has it."""
    said_words, wanted_words = _bare(said).split(), _bare(wanted).split()
    common = sum((Counter(said_words) & Counter(wanted_words)).values())
    if not common:
        return float(said_words == wanted_words)
    return 2 * common / (len(said_words) + len(wanted_words))


def is_same(said: str, wanted: str) -> bool:
    """Whether an answer says what was wanted, be it in a sentence or in a part of the words.

    True when the wanted words stand in a row in a sentence that is not long, when the answer is
    made of most of them, or when both have most of their words in common.
    """
    said_words, wanted_words = words_of(said), words_of(wanted)
    if not said_words or not wanted_words:
        return said_words == wanted_words
    if wanted_words[0] in _POLAR and len(wanted_words) == 1:
        return said_words[0] == wanted_words[0]
    is_short = len(said_words) <= len(wanted_words) + _LONG_ANSWER
    return (is_short and _holds(said_words, wanted_words)) or f1(said, wanted) >= _F1_OF_SAME


def is_polar(answer: str) -> bool:
    """Whether an answer is a mere yes or no, in one of some languages."""
    words = words_of(answer)
    return len(words) == 1 and words[0] in _POLAR | _POLAR_ELSEWHERE


def rest_of_word(said: str, texts: Iterable[str]) -> str:
    """What an answer lacks of the word, of the groups of digits or of the name that it stops in.

    Args:
        said: An answer, taken from one of the texts.
        texts: What it was taken from. Where one of them holds it whole, it lacks nothing.

    A mere yes or no lacks nothing either, and no cell of a table lacks the next one.
    """
    said = said.strip()
    if is_polar(said):
        return ""
    if _is_title(said):
        return _rest_of_name(said, texts)
    rests = [
        _rest(text[place.end() :], said)
        for text in texts
        for place in (re.finditer(re.escape(said), text) if said else ())
    ]
    return rests[0] if rests and all(rests) else ""


def _rest(after: str, said: str) -> str:
    """The rest of a run of marks without space, less the punctuation that closes it."""
    rest = re.match(r"\S*", after)
    run = "" if rest is None else rest[0]
    run = re.split(r",(?!\d)" if _NUMBER.search(said) else ",", run)[0].rstrip(_CLOSING)
    if not run and _DIGIT_GROUPS.search(said):
        groups = re.match(r"(?:[ -]\d+)+\b", after)
        return "" if groups is None else groups[0]
    return run


def _is_title(said: str) -> bool:
    """Whether an answer is no more than `Dr.` or `Prof. Dr`."""
    words = [word.rstrip(".") for word in said.split()]
    return bool(words) and all(
        word[:1].isupper() and word.lower() in TITLES - PLACES for word in words
    )


def _rest_of_name(said: str, texts: Iterable[str]) -> str:
    pattern = re.compile(rf"(?<!\w){re.escape(said)}(\.?(?:\s{_NAME}){{1,4}})")
    found = (pattern.search(text) for text in texts)
    return next((match[1] for match in found if match), "")


def _holds(words: list[str], part: list[str]) -> bool:
    """Whether one list stands within another, in a row."""
    return any(words[n : n + len(part)] == part for n in range(len(words) - len(part) + 1))


def _bare(answer: str) -> str:
    kept = "".join(mark for mark in answer.casefold() if mark not in _MARKS)
    return " ".join(word for word in kept.split() if word not in _ARTICLES)
