"""Plain units: a text as sentences and lines, told by their marks alone.

The segmenters that were there before `units` cut by them, and a store goes on as it began. Knows
neither tokens nor windows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_SENTENCE_END = re.compile(r"""(?:[.!?…]["'”’)\]]*[ \t]+|\n\s*|[。！？])(?=\S)""")
_ABBREVIATION = re.compile(
    r"\b(?:Mr|Mrs|Ms|Dr|St|Prof|Capt|Col|Gen|Rev|No|vs|etc|e\.g|i\.e|[A-Z])\.$"
)


def find_plain_stop(text: str, start: int, max_bytes: int) -> int:
    """Where the unit that starts at `start` ends; looks one character further than it may reach.

    Every unit but the last is the same whatever follows, and cutting anew from the start of any
    unit gives the same units from there on.
    """
    ahead = text[start : start + max_bytes + 1]
    head = ahead.encode()[:max_bytes].decode(errors="ignore")
    for end in _iter_sentence_ends(ahead):
        if end <= len(head):
            return start + end
    if head == ahead:
        return start + len(head)
    return start + (head.rfind(" ") + 1 or len(head) or 1)


def _iter_sentence_ends(text: str) -> Iterator[int]:
    """Where sentences and lines end that something follows; white space is part of them."""
    for match in _SENTENCE_END.finditer(text):
        is_period = match.group()[0] == "."
        if not (is_period and _ABBREVIATION.search(text, 0, match.start() + 1)):
            yield match.end()
