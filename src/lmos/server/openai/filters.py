"""Filters of a search -> which sources may be entered.

Knows the labels, the name and the time of a source. Does not search.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lmos.nodes import Source
from lmos.search.retriever import RetrievalConfig
from lmos.server.openai.shapes import Comparison, Compound
from lmos.server.problems import Problem
from lmos.store import AbstractStore

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_LISTS = ("in", "nin")


@dataclass(frozen=True)
class FilteredConfig(RetrievalConfig):
    """A retrieval in the sources alone that a filter admits.

    Attributes:
        filters: As a client sent it.
    """

    filters: Comparison | Compound | None = None

    def admits(self, source: Source) -> bool:
        """Whether the walk may enter the tree of a source."""
        return super().admits(source) and (self.filters is None or admits(self.filters, source))

    def admitted_ids(self, store: AbstractStore) -> frozenset[int] | None:
        """Sources whose trees the walk may enter; `None` for all."""
        if self.filters is None:
            return super().admitted_ids(store)
        return frozenset(source.source_id for source in store.sources() if self.admits(source))


def admits(filters: Comparison | Compound, source: Source) -> bool:
    """Whether a source fulfils a filter; one without the label that is compared does not.

    Raises:
        Problem: The value is not of the kind that the comparison needs.
    """
    if isinstance(filters, Compound):
        every = [admits(each, source) for each in filters.filters]
        return all(every) if filters.type == "and" else any(every)
    has = _value_of(source, filters.key)
    is_list = isinstance(filters.value, list)
    if is_list != (filters.type in _LISTS):
        expected = "a list" if filters.type in _LISTS else "one value"
        raise Problem(
            400, f"filters: {filters.type} expects {expected}", code="bad_filter", param="filters"
        )
    if has is None:
        return filters.type in ("ne", "nin")
    if isinstance(filters.value, list):
        is_among = any(_compare(operator.eq, has, each) for each in filters.value)
        return is_among == (filters.type == "in")
    return _compare(_OPERATORS[filters.type], has, filters.value)


def _value_of(source: Source, key: str) -> str | float | None:
    if key == "time":
        return source.time
    return source.name if key == "filename" else source.metadata.get(key)


def _compare(how: Callable[[Any, Any], bool], has: str | float, value: str | bool | float) -> bool:
    """Labels are texts: they are compared as numbers with a number."""
    if isinstance(value, bool):
        return how(str(has).casefold(), str(value).casefold())
    if isinstance(value, str):
        return how(str(has), value)
    try:
        return how(float(has), value)
    except ValueError:
        return how is operator.ne
