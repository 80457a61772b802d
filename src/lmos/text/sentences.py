"""Sentences: does one end at a period, or is it an abbreviation, an initial, an ordinal?

Judged by the word before and the word after, in many languages at once, because texts mix them and
nobody says which one comes next. Knows neither lines nor windows.
"""

from __future__ import annotations

import re

from lmos.text.abbreviations import (
    BEFORE_NUMBERS,
    BEFORE_ORDINALS,
    LETTERED,
    MONTHS,
    NEVER_LAST,
    PARTICLES,
    PLACES,
    SOMETIMES_LAST,
    STARTERS,
    STREET,
    TITLES,
    WEEKDAYS,
)

_WIDE_MARKS = "。！？｡．।॥"
"""Ends of sentences that need no space after them."""
_MARKS = ".!?…‼⁇⁈⁉؟۔։።။។" + _WIDE_MARKS
_CLOSERS = r"""["'”’»›)\]}*_」』）】〉》]*"""

END = rf"[{re.escape(_MARKS)}]+{_CLOSERS}\s+|[{_WIDE_MARKS}][{re.escape(_MARKS)}]*{_CLOSERS}\s*"
"""A pattern: a sentence may end here; the white space is part of it."""

_OPENERS = "\"'“”„‚‘’«‹»›([{¿¡*_「『（"
_NEXT = re.compile(rf"[{re.escape(_OPENERS)}]*([\w'’-]*)")
_ROMAN = re.compile(r"[IVXLC]+$")
_ELISION = re.compile(r"^[^\W\d_]{1,2}['’]")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]$")
_DAYS = MONTHS | WEEKDAYS
_DATE_PARTS = (
    (
        re.compile(r"(?:^|[^\w.])\d{1,2}$"),
        re.compile(r"\d{1,2}\.[ \xa0]\d{4}(?!\d)"),
        re.compile(r"\d{1,2}(?:\.(?:[ \xa0]\d{0,4})?)?"),
    ),
    (
        re.compile(r"(?:^|[^\w.])\d{1,2}\.[ \xa0]\d{1,2}$"),
        re.compile(r"\d{4}(?!\d)"),
        re.compile(r"\d{1,4}"),
    ),
)
"""What stands before each period of `3. 4. 2024`, behind it, and there while more may follow."""
_IN_PARTS = NEVER_LAST | SOMETIMES_LAST
_CLOSING = SOMETIMES_LAST - {"u.s", "u.k"}
_NAME_STARTERS = STARTERS - PARTICLES


def is_end(text: str, start: int, match: re.Match[str], *, is_open: bool) -> bool | None:
    """Whether a sentence ends at a match of `END`.

    Args:
        text: The sentence and what follows.
        start: Where the sentence begins.
        match: In `text`.
        is_open: Whether more text may follow that is not here yet.

    Returns:
        `None` if that depends on the rest of the next word.
    """
    mark = match.group().rstrip()
    if mark[0] in _WIDE_MARKS:
        return not (mark == "．" and _is_between_digits(text, match))
    following = _NEXT.match(text, match.end())
    assert following is not None
    word = following.group(1)
    is_whole = not is_open or following.end() < len(text)
    if not word:
        return True if is_whole else None
    is_date = mark == "." and word[0].isdigit() and _is_in_date(text, start, match, is_open=is_open)
    if is_date is not False:
        return None if is_date is None else False
    is_closed = mark[-1] not in _MARKS
    if is_closed or mark != ".":
        return not (is_closed and word[0].islower())
    return _is_period(text[start : match.start()], word, is_whole)


def _is_between_digits(text: str, match: re.Match[str]) -> bool:
    around = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
    return all(each.isdigit() for each in around)


def _is_in_date(text: str, start: int, match: re.Match[str], *, is_open: bool) -> bool | None:
    """Whether a period is one of the two of `3. 4. 2024`; `None` if that depends on the rest."""
    before, after = text[max(start, match.start() - 8) : match.start()], text[match.end() :]
    for day, rest, beginning in _DATE_PARTS:
        if day.search(before):
            if is_open and beginning.fullmatch(after):
                return None
            if rest.match(after):
                return True
    return False


def _is_period(before: str, word: str, is_whole: bool) -> bool | None:
    """Whether a single period after `before` ends the sentence, given the next word."""
    words = before.rsplit(maxsplit=4)
    last = words[-1].lstrip(_OPENERS) if words and not before[-1].isspace() else ""
    previous = words[-2].lstrip(_OPENERS) if len(words) > 1 else ""
    if not last:
        return True
    if len(last) == 1 and last.isalpha():
        last = _joined_letters(words) or last
    if last.isdigit():
        return _ends_number(last, previous, word, is_whole)
    if len(last) == 1 and last.isalpha():
        return _ends_letter(last, previous, word, is_whole)
    return _ends_word(last, previous, word, is_whole)


def _joined_letters(words: list[str]) -> str:
    """`z. B` as `z.B`, if it is an abbreviation in parts; else nothing."""
    letters = [each.lstrip(_OPENERS).rstrip(".") for each in words]
    for count in (3, 2):
        joined = ".".join(letters[-count:])
        if len(letters) >= count and joined.lower() in _IN_PARTS:
            return joined
    return ""


def _ends_number(last: str, previous: str, word: str, is_whole: bool) -> bool | None:
    """After a number a period ends the sentence, unless it makes an ordinal."""
    if len(last) > 2:
        return True
    if not word[0].isupper():
        # "Am 3. und 4. Mai", but "It was 12. 5 men came."
        return not word[0].islower()
    if not is_whole:
        return None
    if word.lower() in MONTHS:
        return False
    return not (previous.lower() in BEFORE_ORDINALS and word.lower() not in STARTERS)


def _ends_letter(last: str, previous: str, word: str, is_whole: bool) -> bool | None:
    """After one letter a period ends the sentence, unless the letter is an initial."""
    if not last.isupper():
        if not is_whole and not word[0].islower():
            return None
        is_part = len(word) == 1 or word == "Chr"
        return not (word[0].islower() or is_part or _is_numbered(last, word))
    if word[0].isdigit():
        return last.lower() not in BEFORE_NUMBERS or previous.lower() in LETTERED
    if word[0].islower():
        return False
    if previous.lower() in LETTERED or (last == "I" and previous[:1].islower()):
        return True
    return (word.lower() in _NAME_STARTERS and len(word) > 1) if is_whole else None


def _is_numbered(last: str, word: str) -> bool:
    is_numbered = last.lower() in BEFORE_NUMBERS or last.lower().endswith(STREET)
    return is_numbered and word[0].isdigit()


def _ends_word(last: str, previous: str, word: str, is_whole: bool) -> bool | None:
    # "l'art. 5" is an article too.
    last = _ELISION.sub("", last)
    key = last.lower()
    if key in TITLES and (last[0].isupper() or not _has_vowel(key)):
        return _ends_title(key, word, is_whole)
    if key in NEVER_LAST or _is_numbered(last, word):
        return False
    if key in BEFORE_NUMBERS and _ROMAN.match(word):
        # "vol. II", but "In vol. I read of it."
        return word == "I" if is_whole else None
    if key in SOMETIMES_LAST or _INITIALS.match(last):
        return _ends_abbreviation(key, word, is_whole)
    is_short = key in BEFORE_NUMBERS - {"no"} or _looks_cut(last, previous)
    is_short = is_short or _ROMAN.match(last) is not None
    return not (word[0].islower() and is_short)


def _ends_title(key: str, word: str, is_whole: bool) -> bool | None:
    if key not in PLACES:
        return False
    if not is_whole:
        return None
    return word[0].isupper() and word.lower() in _NAME_STARTERS


def _ends_abbreviation(key: str, word: str, is_whole: bool) -> bool | None:
    """After `etc.`, `Ltd.`, `a.m.` or `U.S.`, of which some are followed by names."""
    if not word[0].isupper():
        return not (word[0].islower() or word[0].isdigit())
    if not is_whole:
        return None
    return word.lower() not in _DAYS and (key in _CLOSING or word.lower() in STARTERS)


def _looks_cut(last: str, previous: str) -> bool:
    """Whether a word before a small letter is no word: `Abk. wie`, `the bldg. was`."""
    is_name = last.istitle() and bool(previous) and len(last) < 6
    return last.isalpha() and (is_name or not _has_vowel(last.lower()))


def _has_vowel(word: str) -> bool:
    return any(letter in "aeiouyäöüáéíóúàèìòùâêîôû" for letter in word)
