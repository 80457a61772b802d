"""Lines: what a line of a text is, judged by itself: a heading, an item, a row, a turn, prose.

Mostly judged by how the line begins, so that more text does not change it. Knows neither what
stands around the line nor where it is cut.
"""

from __future__ import annotations

import re
from enum import Enum

from lmos.text.abbreviations import DATE_WORDS, MONTHS, WEEKDAYS


class Kind(Enum):
    """What a line is, with an example."""

    PROSE = "It rained."
    HEADING = "# Heading"
    RULE = "---"
    FENCE = "```"
    ROW = "| a | b |"
    ITEM = "- item"
    TURN = "Ana: hello"
    RECORD = "12:00:01 INFO started"
    KEY = "name: value"


STRUCTURES = frozenset({Kind.ROW, Kind.ITEM, Kind.TURN, Kind.RECORD, Kind.KEY})
"""Lines that are one unit, however many sentences they hold."""

_CAPITAL = r"[^\W\d_a-zß-öø-ÿ]"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:[ ]?[ap]\.?m\.?)?"
_DAY = r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[/.]\d{1,2}[/.]\d{2,4})"
_STAMP = rf"(?:{_DAY}[,T]?[ ]?(?:{_CLOCK})?|{_CLOCK})(?:Z|[+-]\d\d:?\d\d)?"

_KIND = re.compile(
    rf"""
    (?P<FENCE>```|~~~)
    | (?P<HEADING>\#{{1,6}}[ \t]+\S)
    | (?P<RULE>(?P<mark>[-*_=])(?:[ ]?(?P=mark)){{2,}}[ \t]*$)
    | (?P<ROW>\|)
    | (?P<RECORD>
        [\[(<]{_STAMP}[\])>][ \t]+\S
        | {_STAMP}[ ]?[-–—|]?[ \t]+\S
        | [A-Z][a-z]{{2}}[ ]{{1,2}}\d{{1,2}}[ ]\d\d:\d\d:\d\d[ ]
        | \[?(?:TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL|CRITICAL)\]?[: ]\s*\S
        | <[@+~]?[\w.-]{{1,24}}>[ ]\S
      )
    | (?P<ITEM>
        (?:[-*+•‣◦–]|\(?\d{{1,3}}[)]|\d{{1,3}}\.|\(?[a-z][)]|\([ivx]{{1,4}}\)|\[[ xX]\])[ \t\xa0]+\S
        | \d{{1,3}}(?:\.\d{{1,3}}){{1,3}}\.?[ \t]+{_CAPITAL}
      )
    | (?P<TURN>
        (?!(?i:note|nb|warning|tip|important|caution|remark|hinweis|achtung|attention)\b)
        (?:\*\*|__)?
        (?:(?i:dr|mr|mrs|ms|prof)\.[ ])?
        @?{_CAPITAL}[\w'’-]*(?:[ ](?:{_CAPITAL}[\w'’-]*|\d+)){{0,3}}
        (?:[ ]\([^)\n]{{1,24}}\))?
        (?:\*\*|__)?:(?:\*\*|__)?[ \t]+\S
      )
    | (?P<KEY>["']?[\w.-]+["']?(?:[ ]?=[ ]?|:[ \t]+)\S)
    """,
    re.VERBOSE,
)
_UNSPACED = re.compile(r"(?<=[^\s,;])[,;](?=\S)")
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_SEPARATOR = re.compile(r"\|?[ \t:|-]*-[ \t:|-]*$")


def kind_of(line: str) -> Kind:
    """What a line is; white space before it is not looked at."""
    match = _KIND.match(line.strip())
    if match is None or match.lastgroup is None:
        return Kind.PROSE
    kind = Kind[match.lastgroup]
    is_date = kind is Kind.ITEM and _is_day_of_month(line)
    return Kind.PROSE if is_date else kind


def _is_day_of_month(line: str) -> bool:
    """Whether what looks like item 3 is the third of a month: `3. März war ein Montag`."""
    words = line.split(maxsplit=2)
    return words[0].rstrip(".").isdigit() and words[1].rstrip(".,:").lower() in MONTHS


def is_row(line: str) -> bool:
    """Whether cells stand side by side, in a line that does not begin like a row."""
    return " | " in line or is_record(line)


def is_record(line: str) -> bool:
    """Whether fields stand side by side without spaces, as in CSV."""
    if "\t" in line.strip():
        return True
    if "," not in line and ";" not in line:
        return False
    bare = _QUOTED.sub("x", line.strip())
    marks = [match.start() for match in _UNSPACED.finditer(bare)]
    if not marks or re.search(r"[,;]\s", bare):
        return False
    is_number = all(bare[at - 1].isdigit() and bare[at + 1].isdigit() for at in marks)
    return not is_number or (len(marks) > 1 and " " not in bare)


def is_separator(line: str) -> bool:
    """Whether a line stands between the head of a Markdown table and its rows."""
    return "|" in line and _SEPARATOR.match(line.strip()) is not None


def could_be_separator(line: str) -> bool:
    """Whether the beginning of a line may become a separator."""
    return not line.strip(" \t:|-")


def underline_rank(line: str) -> int | None:
    """How high the line above stands, if this one makes a heading of it."""
    marks = line.strip()
    if len(marks) < 2 or marks.strip(marks[0]):
        return None
    return {"=": 1, "-": 2}.get(marks[0])


# Lines that open what follows


_MONTH = "(?:" + "|".join(sorted(MONTHS, key=len, reverse=True)) + r")\.?"
_WEEKDAY = "(?:" + "|".join(sorted(WEEKDAYS, key=len, reverse=True)) + r")\.?"
_YEAR = r"(?:,?[ ](?:de[ ]|del[ ])?\d{4})"
_NTH = r"\d{1,2}(?:st|nd|rd|th|er|º|\.)?"
_DATE = re.compile(
    rf"""
    (?:
        \d{{4}}-\d\d(?:-\d\d)?(?:[ T]{_CLOCK})?
        | {_DAY}(?:,?[ ]{_CLOCK})?
        | (?:{_WEEKDAY},?[ ])?(?:(?:the|le|am|den|der|el|il|on|op|o)[ ])?
          {_NTH}[ ](?:(?:of|de|di)[ ])?{_MONTH}{_YEAR}?
        | (?:{_WEEKDAY},?[ ])?{_MONTH}[ ]{_NTH}{_YEAR}?
        | {_MONTH}{_YEAR}?
        | {_WEEKDAY}(?:,?[ ](?:morning|afternoon|evening|night|{_DAY}))?
        | (?:day|week|tag|woche|jour|semaine|día|semana|giorno|dag|dia)[ ]\d{{1,4}}
        | (?:1\d|20)\d\d
        | {_CLOCK}
    )
    [.:,]?\s*$
    """,
    re.VERBOSE | re.IGNORECASE,
)
_WIDE_DATE = re.compile(rf"(?:{_MONTH}{_YEAR}?|\d{{4}}(?:-\d\d)?)[.:,]?\s*$", re.IGNORECASE)
_HOUR = re.compile(rf"{_CLOCK}[.:,]?\s*$", re.IGNORECASE)
_BOLD = re.compile(r"(\*\*|__)(?=\S)(?:(?!\1)[^\n])+\1[.:]?\s*$")
_NUMBER = re.compile(r"\(?(?:\d{1,3}(?:\.\d{1,3})*|[A-Za-z]|[ivxIVX]{1,5})[.):]\)?\s*$|[-*+•]\s*$")
_INNER_END = re.compile(r"[.!?…؟۔։] |[。！？।]")
_PLAIN_END = re.compile(  # But not "Dr. Moss", who may be speaking.
    r"(?<![DdMm]r)(?<![Mm]rs)(?<![Mm]s)(?<![Pp]rof)[.!?…؟۔։] \S|[。！？।]."
)
_PLAIN_START = re.compile(r"[a-zß-öø-ÿ][\w'’-]+[,;]? [^=:\s][^\n]* ")
_WORD = re.compile(r"[^\W\d_]+")
_MAX_LABEL = 100
_MAX_DATE = 40

MARK_RANK, BOLD_RANK, PERIOD_RANK, DATE_RANK, HOUR_RANK, LABEL_RANK, NUMBER_RANK = (
    0,
    *range(7, 13),
)


def rank_of(line: str) -> int | None:
    """How high a line stands that opens what follows, 0 highest; `None` if it opens nothing.

    Ranks 1 to 6 are those of Markdown headings. A line above a row of dashes is not known here.
    """
    text = line.strip()
    if not text:
        return None
    kind = kind_of(text)
    if kind is Kind.HEADING:
        return len(text) - len(text.lstrip("#"))
    if kind is Kind.RULE:
        return MARK_RANK
    return _short_rank(text)


def _short_rank(text: str) -> int | None:
    if text[0] in "*_" and _BOLD.match(text):
        return BOLD_RANK
    if is_date(text):
        if _HOUR.match(text):
            return HOUR_RANK
        return PERIOD_RANK if _WIDE_DATE.match(text) else DATE_RANK
    if text[-1] in ":：" and len(text) <= _MAX_LABEL and not _INNER_END.search(text):
        return LABEL_RANK
    return NUMBER_RANK if len(text) < 16 and _NUMBER.match(text) else None


def is_date(text: str) -> bool:
    """Whether a text is nothing but a date, a weekday or a time of day."""
    return may_be_date(text) and _DATE.match(text.strip()) is not None


def may_be_date(text: str) -> bool:
    """Whether a text is short and has no word, or none but the last, that dates have not."""
    if len(text) > _MAX_DATE:
        return False
    return all(word.lower() in DATE_WORDS for word in _WORD.findall(text)[:-1])


def is_settled(line: str) -> bool:
    """Whether a line is prose that opens nothing, whatever follows in it."""
    if not line or line[0] in "#*_=-~`|<[(@" or kind_of(line) is not Kind.PROSE:
        return False
    is_plain = _PLAIN_END.search(line) or _PLAIN_START.match(line)
    return is_plain is not None and not may_be_date(line)
