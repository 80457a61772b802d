"""A source as both stores keep it: what a user sees of it, and which of its nodes have parents.

Plain values. Knows neither tensors nor disks.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from lmos.errors import SourceNotFound, StoreError
from lmos.nodes import NodeId, NodeIds, Source


@dataclass(frozen=True)
class SourceRecord:
    """A source and the shape of its tree.

    Attributes:
        source: What a user sees.
        num_windows: Windows of the source.
        parent_counts: Nodes that have a parent, at level 1, 2, ...; they come first in their
            level, so the roots of level l are `[parent_counts[l - 1], level_counts[l - 1])`.
    """

    source: Source
    num_windows: int
    parent_counts: tuple[int, ...]

    @classmethod
    def empty(cls, source_id: int, name: str, num_levels: int) -> SourceRecord:
        """A source without text.

        Raises:
            StoreError: The name is empty or not text.
        """
        if not is_name(name):
            raise not_a_name(name)
        none = (0,) * num_levels
        return cls(Source(source_id, name, None, {}, 0, 0, none), 0, none)

    def labelled(self, time: float | None, metadata: Mapping[str, str]) -> SourceRecord:
        """With a new time unless `None`, and new labels unless empty.

        Raises:
            StoreError: The time is not finite, or a label is not text.
        """
        if time is not None and not math.isfinite(time):
            raise StoreError(f"expected a time in seconds since the epoch or None, got {time}")
        if any(not isinstance(text, str) for pair in metadata.items() for text in pair):
            raise StoreError(f"expected labels from text to text, got {dict(metadata)}")
        source = replace(
            self.source,
            time=self.source.time if time is None else float(time),
            metadata=dict(metadata or self.source.metadata),
        )
        return replace(self, source=source)

    def renamed(self, name: str, is_taken: bool) -> SourceRecord:
        """With another name.

        Raises:
            StoreError: It is taken, empty or not text.
        """
        if not is_name(name):
            raise not_a_name(name)
        if is_taken:
            raise StoreError(f"the store has a source named {name!r} already; choose another name")
        return replace(self, source=replace(self.source, name=name))

    def iter_root_runs(self) -> Iterator[tuple[int, int, int, int]]:
        """Nodes without a parent as runs `(source_id, level, start, stop)`, level by level."""
        counts = zip(self.parent_counts, self.source.level_counts, strict=True)
        for level, (start, stop) in enumerate(counts, 1):
            yield self.source.source_id, level, start, stop

    def level_run(self, level: int) -> tuple[int, int, int, int]:
        """The nodes of one level as a run."""
        return self.source.source_id, level, 0, self.num_nodes(level)

    def num_nodes(self, level: int) -> int:
        """Nodes at a level; none at a level that the tree does not have."""
        counts = self.source.level_counts
        return counts[level - 1] if 1 <= level <= len(counts) else 0


def root_ids_of(records: Iterable[SourceRecord]) -> NodeIds:
    """Every node of these sources without a parent, in order of source, level, index."""
    return _nodes_of(run for record in records for run in record.iter_root_runs())


def level_ids_of(records: Iterable[SourceRecord], level: int) -> NodeIds:
    """Every node of one level of these sources, in order of source and index."""
    return _nodes_of(record.level_run(level) for record in records)


def _nodes_of(runs: Iterable[tuple[int, int, int, int]]) -> NodeIds:
    return NodeIds.from_runs(np.array(list(runs), dtype=np.int64).reshape(-1, 4))


def is_name(name: str) -> bool:
    """Whether a source can have the name: not empty, and without half a surrogate pair."""
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def not_a_name(name: str) -> StoreError:
    """The error for a name that no source can have."""
    return StoreError(f"expected a name of one or more Unicode characters, got {name!r}")


def no_source_named(name: str, known: Iterable[str]) -> SourceNotFound:
    """The error for a name that no source has; it names similar ones."""
    similar = difflib.get_close_matches(name, known)
    hint = f"; similar: {', '.join(map(repr, similar))}" if similar else ""
    return SourceNotFound(f"the store has no source named {name!r}{hint}")


def no_source_with_id(source_id: int) -> SourceNotFound:
    """The error for an id that no source has."""
    return SourceNotFound(f"the store has no source with id {source_id}; was it deleted?")


def no_node(node_id: NodeId) -> StoreError:
    """The error for a node that does not exist."""
    source_id, level, index = node_id
    return StoreError(f"the store has no node {index} at level {level} of source {source_id}")
