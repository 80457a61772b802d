"""A context store in memory: keeps tensors with their autograd graph, and is gone on exit.

For training and tests. Knows neither models nor disks.
"""

# ruff: noqa: D102 - base.py documents the methods of the contract.

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from lmos.nodes import NodeId, NodeIds, PlaceMark, Source, Span
from lmos.store.base import AbstractStore, LevelPatch, SourcePatch, Spans, WindowPlace, WindowRecord
from lmos.store.blocks import SPAN_NUMBERS, patch_spans
from lmos.store.invariants import TreeTail, find_faults
from lmos.store.lexical import (
    Codes,
    WordPlaces,
    iter_leaf_words,
    leaf_code,
    score_leaves,
    words_of_names,
)
from lmos.store.manifest import Manifest
from lmos.store.patching import patched_record
from lmos.store.places import Places, iter_faults, placed
from lmos.store.records import (
    SourceRecord,
    level_ids_of,
    no_node,
    no_source_named,
    no_source_with_id,
    root_ids_of,
)


@dataclass(frozen=True)
class _Level:
    """The nodes of one level of a source."""

    spans: Spans
    embeddings: Float[Tensor, "N D"]
    keys: Float[Tensor, "N K"]

    def patched(self, part: LevelPatch) -> _Level:
        return _Level(
            np.concatenate([self.spans[: part.start], patch_spans(part)]),
            _joined(self.embeddings[: part.start], part.embeddings),
            _joined(self.keys[: part.start], part.keys),
        )


@dataclass(frozen=True)
class _Tree:
    """One source with all that belongs to it."""

    record: SourceRecord
    text: bytes
    windows: tuple[WindowRecord, ...]
    levels: tuple[_Level, ...]
    places: Places = ()


class MemoryStore(AbstractStore):
    """A context store whose tensors keep their gradients.

    Args:
        manifest: Of the model that will write to it.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._version = 0
        self._next_source_id = 1
        self._trees: dict[int, _Tree] = {}
        # Of the tokens of each window, every place where they stand.
        self._places: dict[tuple[int, ...], tuple[WindowPlace, ...]] = {}
        # Of the version that was last asked for words.
        self._words: tuple[int, dict[str, Codes]] = (0, {})

    def copy(self) -> MemoryStore:
        """A store with the same content, which changes on its own; tensors are shared."""
        twin = MemoryStore(self._manifest)
        twin._version, twin._next_source_id = self._version, self._next_source_id
        twin._trees, twin._places = dict(self._trees), dict(self._places)
        return twin

    @property
    def manifest(self) -> Manifest:
        return self._manifest

    @property
    def version(self) -> int:
        return self._version

    def snapshot(self) -> AbstractContextManager[None]:
        """Nobody else can write here meanwhile."""
        return nullcontext()

    @contextmanager
    def changes(self) -> Iterator[None]:
        before = self.copy()
        try:
            yield
        except BaseException:
            vars(self).update(vars(before))
            raise

    def sources(self) -> list[Source]:
        return [tree.record.source for tree in self._trees.values()]

    def source(self, name: str) -> Source:
        for source in self.sources():
            if source.name == name:
                return source
        raise no_source_named(name, (source.name for source in self.sources()))

    def find_source(self, name: str) -> Source | None:
        return next((source for source in self.sources() if source.name == name), None)

    def source_by_id(self, source_id: int) -> Source:
        return self._tree(source_id).record.source

    def put_source(
        self,
        name: str,
        patch: SourcePatch,
        *,
        time: float | None = None,
        metadata: Mapping[str, str] = {},
        places: Sequence[PlaceMark] | None = None,
    ) -> Source:
        tree = self._find_tree(name)
        record = patched_record(
            self._manifest,
            tree.record.labelled(time, metadata),
            patch,
            lambda start: list(tree.windows[start:]),
            lambda level, start, stop: tree.levels[level - 1].spans[start:stop],
        )
        kept = placed(tree.places, places, record.source.num_bytes, name)
        pairs = zip(tree.levels, patch.levels, strict=True)
        self._trees[record.source.source_id] = _Tree(
            record=record,
            text=tree.text[: patch.text_start] + patch.text,
            windows=(*tree.windows[: patch.window_start], *patch.windows),
            levels=tuple(level.patched(part) for level, part in pairs),
            places=kept,
        )
        self._move_windows(
            record.source.source_id, tree.windows[patch.window_start :], patch.windows
        )
        self._next_source_id = max(self._next_source_id, record.source.source_id + 1)
        self._version += 1
        return record.source

    def relabel_source(
        self,
        name: str,
        new_name: str | None = None,
        *,
        time: float | None = None,
        metadata: Mapping[str, str] = {},
    ) -> Source:
        source_id = self.source(name).source_id
        tree = self._trees[source_id]
        record = tree.record.labelled(time, metadata)
        if new_name is not None and new_name != name:
            record = record.renamed(new_name, self.find_source(new_name) is not None)
        self._trees[source_id] = replace(tree, record=record)
        self._version += 1
        return record.source

    def delete_source(self, name: str) -> None:
        source_id = self.source(name).source_id
        self._move_windows(source_id, self._trees.pop(source_id).windows, ())
        self._version += 1

    def windows(self, source_id: int, start: int = 0) -> list[WindowRecord]:
        return list(self._tree(source_id).windows[max(start, 0) :])

    def open_windows(self, source_id: int) -> tuple[int, list[WindowRecord]]:
        windows = self._tree(source_id).windows
        start = len(windows)
        while start and not windows[start - 1].is_sealed:
            start -= 1
        return start, list(windows[start:])

    def find_windows(
        self, token_ids: Collection[tuple[int, ...]]
    ) -> dict[tuple[int, ...], WindowPlace]:
        return {ids: self._places[ids][0] for ids in token_ids if ids in self._places}

    def text(self, source_id: int, byte_span: Span | None = None) -> bytes:
        text = self._tree(source_id).text
        start, stop = (0, len(text)) if byte_span is None else byte_span
        return text[max(start, 0) : max(stop, 0)]

    def places(self, source_id: int) -> tuple[PlaceMark, ...]:
        return self._tree(source_id).places

    def root_ids(self) -> NodeIds:
        return root_ids_of(tree.record for tree in self._trees.values())

    def level_ids(self, level: int) -> NodeIds:
        return level_ids_of((tree.record for tree in self._trees.values()), level)

    def spans(self, ids: Sequence[NodeId]) -> Spans:
        rows = [self._level(node_id).spans[node_id.index] for node_id in ids]
        return np.array(rows, dtype=np.int64).reshape(-1, SPAN_NUMBERS)

    def keys(self, ids: Sequence[NodeId]) -> Float[Tensor, "N K"]:
        return self._gather(ids, self._manifest.key_width, lambda level: level.keys)

    def embeddings(self, ids: Sequence[NodeId]) -> Float[Tensor, "N D"]:
        return self._gather(ids, self._manifest.embedding_width, lambda level: level.embeddings)

    def lexical_scores(
        self, question: str, limit: int, source_ids: Collection[int] | None = None
    ) -> tuple[NodeIds, NDArray[np.float32]]:
        if self._words[0] != self._version:
            self._words = self._version, self._index_words()
        codes, none = self._words[1], np.empty(0, np.int64)
        names = ((number, tree.record.source.name) for number, tree in self._trees.items())
        named = words_of_names(names)
        places = WordPlaces(
            num_leaves=sum(tree.record.num_nodes(1) for tree in self._trees.values()),
            size=lambda source_id: self._trees[source_id].record.num_nodes(1),
            named=lambda word: named.get(word, ()),
            count=lambda word: len(codes.get(word, none)),
            codes=lambda word: codes.get(word, none),
        )
        return score_leaves(question, places, limit, source_ids)

    def verify(self) -> list[str]:
        faults: list[str] = []
        for tree in self._trees.values():
            spans = tuple(level.spans for level in tree.levels)
            tail = TreeTail(0, 0, 0, tree.windows, (0,) * len(spans), spans)
            faults.extend(find_faults(tree.record, tail))
            faults.extend(iter_faults(tree.places, tree.record.source.num_bytes))
        return faults

    def close(self) -> None:
        """There is no file to release."""

    def _tree(self, source_id: int) -> _Tree:
        if source_id not in self._trees:
            raise no_source_with_id(source_id)
        return self._trees[source_id]

    def _find_tree(self, name: str) -> _Tree:
        """The source of that name, or an empty one."""
        for tree in self._trees.values():
            if tree.record.source.name == name:
                return tree
        record = SourceRecord.empty(self._next_source_id, name, self._manifest.num_levels)
        level = _Level(
            np.empty((0, SPAN_NUMBERS), np.int64),
            torch.empty(0, self._manifest.embedding_width),
            torch.empty(0, self._manifest.key_width),
        )
        return _Tree(record, b"", (), (level,) * self._manifest.num_levels)

    def _move_windows(
        self, source_id: int, old: Sequence[WindowRecord], new: Sequence[WindowRecord]
    ) -> None:
        """Windows `old` of a source made place for `new`."""
        for window in old:
            place = WindowPlace(source_id, window.byte_span)
            others = tuple(each for each in self._places.pop(window.token_ids) if each != place)
            if others:
                self._places[window.token_ids] = others
        for window in new:
            place = WindowPlace(source_id, window.byte_span)
            self._places[window.token_ids] = (*self._places.get(window.token_ids, ()), place)

    def _index_words(self) -> dict[str, Codes]:
        codes: dict[str, list[int]] = defaultdict(list)
        for source_id, tree in sorted(self._trees.items()):
            leaves = iter_leaf_words(tree.text, 0, tree.levels[0].spans)
            for index, words in enumerate(leaves):
                for word in set(words):
                    codes[word].append(leaf_code(source_id, index))
        return {word: np.array(found, np.int64) for word, found in codes.items()}

    def _level(self, node_id: NodeId) -> _Level:
        tree = self._trees.get(node_id.source_id)
        if tree is None or not 0 <= node_id.index < tree.record.num_nodes(node_id.level):
            raise no_node(node_id)
        return tree.levels[node_id.level - 1]

    def _gather(
        self, ids: Sequence[NodeId], width: int, vectors_of: Callable[[_Level], Tensor]
    ) -> Float[Tensor, "N W"]:
        """Rows of the levels' vectors, in the order asked for; gradients flow to them."""
        ids = list(ids)
        rows: dict[tuple[int, int], list[int]] = defaultdict(list)
        for row, node_id in enumerate(ids):
            rows[node_id.source_id, node_id.level].append(row)
        if not ids:
            return torch.empty(0, width)
        parts = []
        for group in rows.values():
            levels = [self._level(ids[row]) for row in group]
            parts.append(vectors_of(levels[0])[[ids[row].index for row in group]])
        order = torch.tensor([row for group in rows.values() for row in group], dtype=torch.int64)
        return torch.cat(parts)[order.argsort().to(parts[0].device)]


def _joined(kept: Float[Tensor, "M W"], new: Float[Tensor, "N W"]) -> Float[Tensor, "L W"]:
    """Rows after each other, in float32 on the device of the new ones."""
    return torch.cat([kept.to(new.device), new.float()])
