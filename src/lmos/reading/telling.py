"""Where and when something was said, in words for people: places, times, differing answers.

Knows what was found. Does not know where it is shown: control characters are left as they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it loads torch, and commands that list have no use for that
    from lmos.reading.rereading import Differing

_WHEN = {True: "earlier", False: "later", None: "elsewhere"}
_DIFFERING_LINE = re.compile(rf"\n+\(said (?:{'|'.join(_WHEN.values())}): [^\n]* – [^\n]*\)\Z")


def clock_time(seconds: float | None) -> str:
    """A time as people read it, in the local zone."""
    if seconds is None:
        return "unknown"
    try:
        return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} s"


def path_of(source: str, headings: Sequence[str]) -> str:
    """A source's name and what a place of it stands under: `diary.md › 15 February`."""
    return " › ".join([source, *headings])


def differing_line(other: Differing) -> str:
    """What else was said, and where: `(said earlier: 6 am – diary.md, 2024-01-05 08:30)`."""
    citation = other.citation
    place = path_of(citation.source, citation.headings)
    day = "" if citation.time is None else f", {clock_time(citation.time)}"
    line = f"(said {_WHEN[other.is_earlier]}: {other.text} – {place}{day})"
    return " ".join(line.split())


def without_differing(text: str) -> str:
    """An answer without the lines at its end that say what else was said."""
    while (line := _DIFFERING_LINE.search(text)) is not None:
        text = text[: line.start()]
    return text
