"""Places: where in its original each stretch of a source comes from; checked, as JSON, looked up.

A file that was converted is cited by page, slide or cell beside the bytes of its text. Plain
values. Knows neither the formats of originals nor how a store keeps rows.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from lmos.errors import StoreCorrupt, StoreError
from lmos.nodes import PlaceMark, Span

Places = tuple[PlaceMark, ...]


def place_of(places: Sequence[PlaceMark], span: Span) -> str | None:
    """The place that a span of the source comes from, from the first to the last if it has several.

    Args:
        places: Of the source, in order.
        span: Bytes of it.

    Example:
        >>> marks = [PlaceMark(0, "page 1"), PlaceMark(90, "page 2"), PlaceMark(150, "page 3")]
        >>> place_of(marks, Span(20, 40)), place_of(marks, Span(80, 160))
        ('page 1', 'page 1–3')
    """
    first = bisect_right(places, span.start, key=_start_of) - 1
    stop = max(bisect_left(places, span.stop, key=_start_of), first + 1)
    labels = [mark.label for mark in places[max(first, 0) : stop] if mark.label]
    return _joined(labels[0], labels[-1]) if labels else None


def placed(
    before: Sequence[PlaceMark], wanted: Sequence[PlaceMark] | None, num_bytes: int, name: str
) -> Places:
    """The places of a source after a change.

    Args:
        before: As they were.
        wanted: As they shall be; `None` keeps those that were, as far as the text reaches.
        num_bytes: Of the source, after the change.
        name: Of the source, for messages.

    Raises:
        StoreError: They are not in order, lie beyond the text, or a label is not text.
    """
    if wanted is None:
        return tuple(mark for mark in before if mark.start_byte < num_bytes)
    places = tuple(PlaceMark(*mark) for mark in wanted)
    for fault in iter_faults(places, num_bytes):
        raise StoreError(f"source {name!r}: {fault}")
    return places


def shifted(places: Sequence[PlaceMark], num_bytes: int) -> Places:
    """The same places, behind so many more bytes."""
    return tuple(PlaceMark(mark.start_byte + num_bytes, mark.label) for mark in places)


def iter_faults(places: Sequence[PlaceMark], num_bytes: int) -> Iterator[str]:
    """What is wrong with the places of a source of that length, one sentence each."""
    end = -1
    for start, label in places:
        if not end < start < max(num_bytes, 1):
            yield f"the place {label!r} begins at byte {start}, expected {end + 1}..{num_bytes - 1}"
        if not isinstance(label, str) or not _is_unicode(label):
            yield f"expected a place that is Unicode text, got {label!r}"
        end = start


def places_to_json(places: Sequence[PlaceMark]) -> str:
    """As a list of pairs: `[[0, "page 1"], [812, "page 2"]]`."""
    return json.dumps(places)


def places_from_json(text: str) -> Places:
    """Read what `places_to_json` wrote.

    Raises:
        StoreCorrupt: It is not that.
    """
    try:
        return tuple(PlaceMark(int(start), str(label)) for start, label in json.loads(text))
    except (ValueError, TypeError) as error:
        raise StoreCorrupt(f"places: cannot be read: {error}") from error


def _start_of(mark: PlaceMark) -> int:
    return mark.start_byte


def _joined(first: str, last: str) -> str:
    """`page 1`, `page 1–3`, `sheet Costs, row 9 – sheet Plans, row 2`."""
    if first == last:
        return first
    common, _, end = last.rpartition(" ")
    if common and first.rpartition(" ")[0] == common:
        return f"{first}–{end}"
    return f"{first} – {last}"


def _is_unicode(label: str) -> bool:
    try:
        return bool(label.encode()) or not label
    except UnicodeEncodeError:
        return False
