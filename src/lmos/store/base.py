"""The contract of a context store: what every implementation keeps and returns.

A store knows sources, text, tokens, nodes and numbers. It does not know models: it never makes an
embedding, and it never decides what is relevant.

The tree of one source: level 1 nodes cover tokens, level l nodes cover a contiguous stretch of the
nodes of level l - 1. Nodes are numbered 0, 1, 2 ... within their source and level. Children of
neighbours are neighbours: those of level l cover level l - 1 from its first node on without gap or
overlap, so a level's nodes beyond the last child have no parent yet: they are roots. The nodes of
the highest level are roots too. No node is without children; the text of a node ends where that of
its last child ends, that of a window where its last node's ends; the windows cover all the text.
"""

from __future__ import annotations

import abc
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from lmos.nodes import Node, NodeId, NodeIds, PlaceMark, Source, Span
from lmos.store.keys import Key
from lmos.store.manifest import Manifest

# (N, 4): start and stop of the children, start and stop of the bytes; one row a node.
Spans = NDArray[np.int64]


@dataclass(frozen=True)
class WindowRecord:
    """The tokens of one window of a source, as the compressor read them.

    Attributes:
        token_ids: The ids.
        token_bytes: End offset of each token's bytes, in the source.
        byte_span: The text of the window.
        is_sealed: Whether more text can no longer change it.
        num_nodes: Level-1 nodes that it was compressed to.
    """

    token_ids: tuple[int, ...]
    token_bytes: tuple[int, ...]
    byte_span: Span
    is_sealed: bool
    num_nodes: int


class WindowPlace(NamedTuple):
    """Where a window stands: its source, and its text there."""

    source_id: int
    byte_span: Span


@dataclass(frozen=True)
class LevelPatch:
    """New nodes of one level of one source, replacing everything from index `start` on.

    Attributes:
        start: Nodes before it stay; nodes from it on are dropped.
        children: For each new node, its items one level below.
        byte_spans: For each new node, its text.
        embeddings: `(N, D)`, at input scale; may carry gradients in the memory store.
        keys: `(N, K)`, what the nodes are found by.
    """

    start: int
    children: tuple[Span, ...]
    byte_spans: tuple[Span, ...]
    embeddings: Float[Tensor, "N D"]
    keys: Float[Tensor, "N K"]


@dataclass(frozen=True)
class SourcePatch:
    """One acknowledged change of one source: all of it is kept, or nothing.

    Attributes:
        text_start: The source's text is cut at this byte, then `text` is appended.
        text: UTF-8 bytes.
        window_start: Windows before it stay; windows from it on are dropped.
        windows: The new windows.
        levels: One patch for each level, level 1 first; its length is the number of levels.
    """

    text_start: int
    text: bytes
    window_start: int
    windows: tuple[WindowRecord, ...]
    levels: tuple[LevelPatch, ...]


class AbstractStore(abc.ABC):
    """A context that lasts: sources, their text and their trees of embeddings."""

    @property
    @abc.abstractmethod
    def manifest(self) -> Manifest:
        """Which model wrote the store and with which settings."""

    @property
    def path(self) -> Path | None:
        """The file, or `None` in memory."""
        return None

    @property
    def key(self) -> Key | None:
        """What the file is encrypted with, or `None`."""
        return None

    @property
    @abc.abstractmethod
    def version(self) -> int:
        """Grows with every acknowledged change; equal versions mean equal content."""

    @abc.abstractmethod
    def snapshot(self) -> AbstractContextManager[None]:
        """Until the block ends, every read sees the store as it is now, whoever writes meanwhile.

        May be nested. Reads alone: a change inside is refused where it would not be seen.
        """

    def writing(self) -> AbstractContextManager[None]:
        """Until the block ends, nobody else writes: what is read in it is true when it is changed.

        May be nested. Each change is alone by itself; what is read for one belongs in the block.

        Raises:
            StoreLocked: Somebody else writes, and went on for too long.
        """
        return nullcontext()

    @abc.abstractmethod
    def changes(self) -> AbstractContextManager[None]:
        """All changes until the block ends are one: durable at its end, or undone if it raises."""

    @abc.abstractmethod
    def sources(self) -> list[Source]:
        """All sources, in the order in which they were created."""

    @abc.abstractmethod
    def source(self, name: str) -> Source:
        """One source by name.

        Raises:
            SourceNotFound: There is none of that name; the message names similar ones.
        """

    @abc.abstractmethod
    def find_source(self, name: str) -> Source | None:
        """One source by name, or `None` if there is none of it."""

    @abc.abstractmethod
    def source_by_id(self, source_id: int) -> Source:
        """One source by id.

        Raises:
            SourceNotFound: There is none of that id.
        """

    @abc.abstractmethod
    def put_source(
        self,
        name: str,
        patch: SourcePatch,
        *,
        time: float | None = None,
        metadata: Mapping[str, str] = {},
        places: Sequence[PlaceMark] | None = None,
    ) -> Source:
        """Create the source or change it, in one transaction: durable when this returns.

        Args:
            name: Created when the store has none of that name (then `text_start`,
                `window_start` and every `start` must be 0).
            patch: What changes.
            time: Replaces the source's time unless `None`.
            metadata: Replaces the source's labels unless empty.
            places: Where in its original the text comes from, in order; replaces what the source
                has unless `None`, which keeps that as far as the text reaches.

        Raises:
            StoreError: The patch does not fit the source, the result would not be a tree, or the
                places are not in order within the text.
            StoreLocked: Another process writes.
            StoreFull: No room; nothing was written.
        """

    @abc.abstractmethod
    def relabel_source(
        self,
        name: str,
        new_name: str | None = None,
        *,
        time: float | None = None,
        metadata: Mapping[str, str] = {},
    ) -> Source:
        """Give a source another name, time or labels; text, places, nodes and id stay.

        Args:
            name: Of the source.
            new_name: Replaces the name unless `None`.
            time: Replaces the source's time unless `None`.
            metadata: Replaces the source's labels unless empty.

        Raises:
            SourceNotFound: There is none of that name.
            StoreError: Another source has the new name.
        """

    @abc.abstractmethod
    def delete_source(self, name: str) -> None:
        """Remove a source: text, places, windows and nodes, in one transaction.

        Raises:
            SourceNotFound: There is none of that name.
        """

    @abc.abstractmethod
    def windows(self, source_id: int, start: int = 0) -> list[WindowRecord]:
        """The windows of a source from number `start` on."""

    @abc.abstractmethod
    def open_windows(self, source_id: int) -> tuple[int, list[WindowRecord]]:
        """The windows at the end of a source that are not sealed; costs the same at any length.

        Returns:
            The number of the first of them, and all of them in order.
        """

    @abc.abstractmethod
    def find_windows(
        self, token_ids: Collection[tuple[int, ...]]
    ) -> dict[tuple[int, ...], WindowPlace]:
        """Windows with exactly these tokens, in whatever source; costs the same at any size.

        Returns:
            One place for each that some source has. Rows that are damaged are not found.
        """

    @abc.abstractmethod
    def text(self, source_id: int, byte_span: Span | None = None) -> bytes:
        """The text of a source, or a stretch of it (clipped to what there is).

        Raises:
            SourceNotFound: There is no source of that id.
            StoreCorrupt: The bytes do not have their checksum.
        """

    @abc.abstractmethod
    def places(self, source_id: int) -> tuple[PlaceMark, ...]:
        """Where in its original the text of a source comes from; empty where that is not known.

        Raises:
            SourceNotFound: There is no source of that id.
            StoreCorrupt: They do not have their checksum.
        """

    @abc.abstractmethod
    def root_ids(self) -> NodeIds:
        """Every node without a parent, in order of source, level, index."""

    @abc.abstractmethod
    def level_ids(self, level: int) -> NodeIds:
        """Every node of one level, in order of source and index."""

    @abc.abstractmethod
    def spans(self, ids: Sequence[NodeId]) -> Spans:
        """Structure of the nodes as numbers, in the order asked for: children, and bytes.

        Raises:
            StoreError: A node does not exist.
        """

    def nodes(self, ids: Sequence[NodeId]) -> list[Node]:
        """Structure of the nodes, in the order asked for.

        Raises:
            StoreError: A node does not exist.
        """
        rows = zip(ids, self.spans(ids).tolist(), strict=True)
        return [Node(node_id, Span(*row[:2]), Span(*row[2:])) for node_id, row in rows]

    @abc.abstractmethod
    def keys(self, ids: Sequence[NodeId]) -> Float[Tensor, "N K"]:
        """Stored keys in the order asked for, in the manifest's dtype (float32 in memory).

        To be read only: they may be the store's own copy.
        """

    @abc.abstractmethod
    def embeddings(self, ids: Sequence[NodeId]) -> Float[Tensor, "N D"]:
        """Stored embeddings in the order asked for, in the manifest's dtype (float32 in memory)."""

    @property
    def has_words(self) -> bool:
        """Whether `lexical_scores` can find anything.

        A file of an old format has no index of words until it has been opened for writing.
        """
        return True

    @abc.abstractmethod
    def lexical_scores(
        self, question: str, limit: int, source_ids: Collection[int] | None = None
    ) -> tuple[NodeIds, NDArray[np.float32]]:
        """Nodes of level 1 that share words with a question, the most telling words first.

        Args:
            question: Any text.
            limit: At most so many nodes are returned.
            source_ids: Only nodes of these sources; `None` for all.

        Returns:
            The nodes and, of each, a score in nats: larger is better, 0 would be none of the words.
        """

    @abc.abstractmethod
    def verify(self) -> list[str]:
        """Check every invariant of the store: checksums, spans, parents, manifest.

        Returns:
            What is wrong, one sentence each, naming the place; empty when all is well.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Release the file, if there is one. Calling it twice is fine."""

    def __enter__(self) -> AbstractStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
