"""Rows of a table -> lines that can be read alone: `- Name: Eva; City: Bern`.

Whoever finds a row far from the head of its table still knows what its cells are. Knows cells as
values; knows neither files nor sheets.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from lmos.documents.base import one_line

_MAX_NAME = 60


def iter_lines(rows: Iterable[Sequence[Any]], first: int = 1) -> Iterator[tuple[int, str]]:
    """Each row that holds anything, as its number and a line.

    The first of them is the head if its cells could be the names of columns; it is no line then,
    unless nothing follows.

    Args:
        rows: Of one table.
        first: Number of the first row.
    """
    names: list[str] | None = None
    head: tuple[int, str] | None = None
    is_first = True
    for number, row in enumerate(rows, first):
        cells = [cell_text(cell) for cell in row]
        if not any(cells):
            continue
        if is_first:
            is_first = False
            if _are_names(cells):
                names, head = cells, (number, _line(cells, None))
                continue
        head = None
        yield number, _line(cells, names)
    if head is not None:
        yield head


def cell_text(cell: Any) -> str:
    """A value as people write it, on one line."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    if isinstance(cell, datetime.datetime):
        is_day = cell.time() == datetime.time()
        return cell.date().isoformat() if is_day else cell.isoformat(" ", "seconds")
    return one_line(str(cell))


def _line(cells: Sequence[str], names: Sequence[str] | None) -> str:
    known = names or ()
    pairs = ((known[at] if at < len(known) else "", cell) for at, cell in enumerate(cells))
    return "- " + "; ".join(f"{name}: {cell}" if name else cell for name, cell in pairs if cell)


def _are_names(cells: Sequence[str]) -> bool:
    names = [cell for cell in cells if cell]
    is_whole = len(names) > len(cells) / 2 and len(set(names)) == len(names)
    return is_whole and all(
        len(name) <= _MAX_NAME and not name[0].isdigit() and name[-1] not in ".!?" for name in names
    )
