"""Tables: does a table begin with these lines, which columns has it, which lines are rows?

Markdown with a line of dashes under the head, and lines of fields between commas, semicolons or
tabs. Knows lines alone, not where they stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from lmos.text.lines import Kind, is_record, is_separator, kind_of

_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_VALUE = re.compile(r"[\d.,:/+%€$ -]*$")
FIELD_MARKS = "\t;,"
"""What stands between the fields of a line that has no bars."""
_MAX_NAME = 40
_MAX_WORDS = 4


def find_columns(lines: Sequence[str], *, is_first: bool) -> str | None:
    """The head of a table, its names between bars, if these lines begin one.

    Args:
        lines: Up to three; the first may be the head.
        is_first: Whether nothing stands right above them.
    """
    head = lines[0]
    if "|" in head and len(lines) > 1 and is_separator(lines[1]):
        return " | ".join(cell.strip() for cell in head.strip().strip("|").split("|"))
    # Rows that tell their columns themselves, "- Name: Eva; City: Bern", have no head.
    is_item = kind_of(head) is Kind.ITEM
    mark = _mark_of(head) if is_first and not is_item else None
    if mark is None or not _are_rows(lines, mark):
        return None
    names = [cell.strip().strip('"').strip() for cell in _bare(head).split(mark)]
    return " | ".join(names) if _are_names(names) else None


def row_of(head: str) -> Callable[[str], bool]:
    """A test for the rows of the table with this head."""
    if "|" in head:
        return lambda line: "|" in line
    mark = _mark_of(head) or ","
    num_marks = _count(head, mark)
    return lambda line: _count(line, mark) == num_marks


def _mark_of(head: str) -> str | None:
    """What stands between the fields of a line."""
    return next((mark for mark in FIELD_MARKS if mark in head), None)


def _are_rows(lines: Sequence[str], mark: str) -> bool:
    """Whether lines have as many fields as the first.

    Where a space follows each comma, as in prose, two have to.
    """
    num_marks = _count(lines[0], mark)
    if len(lines) < 2 or _count(lines[1], mark) != num_marks:
        return False
    is_third = len(lines) > 2 and _count(lines[2], mark) == num_marks
    return is_record(lines[0]) or (num_marks > 1 and is_third)


def _are_names(names: Sequence[str]) -> bool:
    return len(set(names)) == len(names) and all(
        len(name) <= _MAX_NAME
        and len(name.split()) <= _MAX_WORDS
        and not _VALUE.match(name)
        and not name.endswith((".", "!", "?"))
        for name in names
    )


def _count(line: str, mark: str) -> int:
    return (_QUOTED.sub("x", line) if '"' in line else line).count(mark)


def _bare(line: str) -> str:
    """The line without marks inside quotes."""
    return _QUOTED.sub(lambda match: match.group().translate({44: " ", 59: " ", 9: " "}), line)
