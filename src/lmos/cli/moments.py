"""Times as people write them, in ISO 8601, to seconds; knows no commands and no clock.

A time that is not written out to the second is its first moment: `2024-05` begins with May.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import click

EXPECTED = (
    "expected a time in ISO 8601, like 2024, 2024-05, 2024-05-17, 20240517, 2024-W20 or "
    "2024-05-17T08:30 (local unless it ends with Z or an offset like +02:00), or seconds since "
    "1970 behind an @, like @1715900000"
)
_DATE = re.compile(
    r"(?P<year>\d{4})"
    r"(?:-(?P<month>\d\d)(?:-(?P<day>\d\d))?"
    r"|(?P<plain_month>\d\d)(?P<plain_day>\d\d)"
    r"|-?W(?P<week>\d\d)(?:-?(?P<weekday>[1-7]))?"
    r"|-?(?P<day_of_year>\d{3}))?",
    re.ASCII,
)
_TIME = re.compile(
    r"\d\d(?::\d\d(?::\d\d(?:[.,]\d+)?)?|\d\d(?:\d\d(?:[.,]\d+)?)?)?"
    r"(?:[Zz]|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_END_OF_DAY = re.compile(r"24(?::?00){0,2}(?:[.,]0+)?(?:$|[Z+-])")
_LONGER_THAN_A_DAY = re.compile(r"\d{4}(-\d\d|-?W\d\d)?")
_SECONDS = re.compile(r"@(-?\d+(?:\.\d+)?)", re.ASCII)
_FIRST_SECOND = datetime(1, 1, 2).timestamp()
_LAST_SECOND = datetime(9999, 12, 30).timestamp()


def moment(text: str) -> float:
    """A time in ISO 8601, local unless it has an offset, or seconds behind an `@`, to seconds."""
    try:
        seconds = _seconds(text.strip())
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{EXPECTED}; got {text!r}") from None
    if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        raise click.BadParameter(f"expected a time in the years 1 to 9999, got {text!r}")
    return seconds


def _seconds(text: str) -> float:
    if match := _SECONDS.fullmatch(text):
        return float(match[1])
    date, *times = re.split("[Tt ]", text, maxsplit=1)
    day = _first_day(date)
    if not times:
        return day.timestamp()
    clock = times[0].upper().replace("−", "-")
    if _LONGER_THAN_A_DAY.fullmatch(date) or not _TIME.fullmatch(clock):
        raise ValueError(text)
    if _END_OF_DAY.match(clock):
        clock, day = f"00{clock[2:]}", day + timedelta(days=1)
    return datetime.fromisoformat(f"{day.date()}T{clock}").timestamp()


def _first_day(text: str) -> datetime:
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    year = int(match["year"])
    if match["week"] is not None:
        return datetime.fromisocalendar(year, int(match["week"]), int(match["weekday"] or 1))
    if match["day_of_year"] is not None:
        return _day_of_year(year, int(match["day_of_year"]))
    month, day = match["month"] or match["plain_month"], match["day"] or match["plain_day"]
    return datetime(year, int(month or 1), int(day or 1))


def _day_of_year(year: int, number: int) -> datetime:
    day = datetime(year, 1, 1) + timedelta(days=number - 1)
    if number < 1 or day.year != year:
        raise ValueError(number)
    return day
