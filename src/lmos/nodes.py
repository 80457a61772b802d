"""The nouns: spans, sources, nodes, and what a retrieval returns.

Plain immutable values without tensors. Knows neither models nor disks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Span(NamedTuple):
    """A half-open stretch `[start, stop)`: of bytes in a source, or of items in a level."""

    start: int
    stop: int


class NodeId(NamedTuple):
    """Where a node stands: its source, its level (1 is just above the text), its index there."""

    source_id: int
    level: int
    index: int  # type: ignore[assignment]  # tuple.index, which nobody needs here


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
class Step:
    """One step of the walk down to a hit: the node that was opened and its score."""

    level: int
    index: int
    score: float


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
    """

    source: Source
    node: Node
    byte_span: Span
    is_text: bool
    score: float
    weight: float
    path: tuple[Step, ...] = field(default=())
