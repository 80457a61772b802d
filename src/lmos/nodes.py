"""The nouns: spans, sources, nodes, and what a retrieval returns.

Plain immutable values without tensors. Knows neither models nor disks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray


class Span(NamedTuple):
    """A half-open stretch `[start, stop)`: of bytes in a source, or of items in a level."""

    start: int
    stop: int


class PlaceMark(NamedTuple):
    """From a byte of a source on, the text comes from a place of the original: `page 12`.

    It holds until the next mark; an empty label says that no place is known.
    """

    start_byte: int
    label: str


class NodeId(NamedTuple):
    """Where a node stands: its source, its level (1 is just above the text), its index there."""

    source_id: int
    level: int
    index: int  # type: ignore[assignment]  # tuple.index, which nobody needs here


class NodeIds(Sequence[NodeId]):
    """Many node ids as the rows of one array; a walk over a large store makes no object for each.

    Attributes:
        rows: `(N, 3)` integers: source, level and index of each.
    """

    def __init__(self, rows: NDArray[np.int64]) -> None:
        self.rows = rows
        self._by_level: dict[int, NodeIds] = {}

    @classmethod
    def of(cls, ids: Iterable[NodeId]) -> NodeIds:
        """These ids, in their order; as it is when it is one of these already."""
        if isinstance(ids, NodeIds):
            return ids
        return cls(np.array(list(ids), dtype=np.int64).reshape(-1, 3))

    @classmethod
    def from_runs(cls, runs_M4: NDArray[np.int64]) -> NodeIds:
        """All nodes of some runs, run after run; each row is source, level, start and stop."""
        lengths_M = runs_M4[:, 3] - runs_M4[:, 2]
        rows = np.repeat(runs_M4[:, :3], lengths_M, axis=0)
        rows[:, 2] += np.arange(len(rows)) - np.repeat(np.cumsum(lengths_M) - lengths_M, lengths_M)
        return cls(rows)

    def take(self, places: NDArray[Any]) -> NodeIds:
        """Those at some places, or where a mask is true."""
        return NodeIds(self.rows[places])

    def at_level(self, level: int) -> NodeIds:
        """Those of one level; looked for once."""
        if level not in self._by_level:
            self._by_level[level] = NodeIds(self.rows[self.rows[:, 1] == level])
        return self._by_level[level]

    def of_sources(self, source_ids: Iterable[int]) -> NodeIds:
        """Those of some sources."""
        return NodeIds(self.rows[np.isin(self.rows[:, 0], list(source_ids))])

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: SupportsIndex) -> NodeId: ...
    @overload
    def __getitem__(self, place: slice) -> NodeIds: ...
    def __getitem__(self, place: SupportsIndex | slice) -> NodeId | NodeIds:
        if isinstance(place, slice):
            rows = self.rows[place]
            is_all = place.step in (None, 1) and len(rows) == len(self)
            return self if is_all else NodeIds(rows)
        return NodeId(*self.rows[place.__index__()].tolist())

    def __iter__(self) -> Iterator[NodeId]:
        return (NodeId(*row) for row in self.rows.tolist())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Source:
    """A document, a conversation or a diary that was added under a name.

    Attributes:
        source_id: Stable as long as the source exists; never used again after.
        name: Unique in the store.
        time: Seconds since the epoch, or `None` when unknown.
        metadata: Labels of the user's.
        num_bytes: UTF-8 bytes of text.
        num_tokens: Tokens of text, as the store's tokenizer counts.
        level_counts: Nodes at level 1, 2, ... (level 1 first).
    """

    source_id: int
    name: str
    time: float | None
    metadata: Mapping[str, str]
    num_bytes: int
    num_tokens: int
    level_counts: tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """One stored embedding and what it stands for.

    Attributes:
        id: Its place.
        children: Items of the level below that it was compressed from: nodes of level `l - 1`,
            or tokens of the source at level 1.
        byte_span: The text under it, in UTF-8 bytes of its source.
    """

    id: NodeId
    children: Span
    byte_span: Span


@dataclass(frozen=True)
class WalkStep:
    """One step of the walk down to a hit: the node that was opened and its score."""

    level: int
    index: int
    score: float


class ScoreParts(NamedTuple):
    """What a joined score comes from.

    Attributes:
        attention: The scorer's own, a logit.
        lexical: What the text shares with the words of the question, in nats; 0 for none of them.
    """

    attention: float
    lexical: float


@dataclass(frozen=True)
class Hit:
    """A node that a retrieval kept.

    Attributes:
        source: The source it belongs to.
        node: The node itself.
        byte_span: The text to read: the node's own, with neighbours when it was opened wider.
        is_text: Whether it was opened down to raw text (level 0) or stays an embedding.
        score: Relevance at its own level, a logit: larger is better, comparable within a level.
        weight: Share of the attention over everything kept; weights sum to one.
        path: From the root to the node itself, with the score at each level.
        parts: What the score comes from, if words of the question were looked for.
    """

    source: Source
    node: Node
    byte_span: Span
    is_text: bool
    score: float
    weight: float
    path: tuple[WalkStep, ...] = field(default=())
    parts: ScoreParts | None = None
