"""The tree builder: new text of sources in, patches for their trees out.

Plans which windows of which level must be compressed, batches them over sources, and runs the
compressor level by level. Knows the store's contract; knows neither queries nor what a store does
with a patch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TypeVar

import torch
from torch import Tensor

from lmos.model import heap
from lmos.model.base import BaseModel
from lmos.nodes import NodeId, Source, Span
from lmos.store import AbstractStore, LevelPatch, Manifest, SourcePatch, WindowRecord
from lmos.tree.borders import score_borders
from lmos.tree.levels import LevelCompressor
from lmos.tree.reuse import WindowNodes, known_windows
from lmos.tree.segments import (
    AbstractSegmenter,
    SegmentConfig,
    Window,
    WindowContent,
    iter_windows,
    segments_of,
)

_T = TypeVar("_T")

_TRIM_TOKENS = 8192
"""After more than that in one go, memory is given back."""

Progress = Callable[[int], None]
"""Called with the number of tokens that were compressed since the last call."""


@dataclass
class _Level:
    """What is new at one level of one source; items before `start` are in the store."""

    start: int
    num_final: int
    """Nodes of the level, old and new, that later text can no longer change."""
    children: list[Span] = field(default_factory=list)
    byte_spans: list[Span] = field(default_factory=list)
    embeddings: list[Tensor] = field(default_factory=list)
    keys: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True)
class SourceText:
    """The whole text that a source is to have from now on, UTF-8."""

    name: str
    text: bytes


@dataclass(frozen=True)
class _WindowPlan:
    """Where a source's text changes and how it is cut from there on."""

    source_id: int | None
    text_start: int
    text: bytes
    window_start: int
    token_start: int
    node_start: int
    num_final: int
    windows: list[Window]


class TreeBuilder:
    """Compresses the text of sources into patches of their trees.

    Args:
        model: Base model and adapter.
        manifest: Ratios, windows and modes.
        batch_items: Items (tokens or nodes) in one forward pass; bounds the memory used.
        segmenter: The user's own, if the store was made with one.
    """

    def __init__(
        self,
        model: BaseModel,
        manifest: Manifest,
        batch_items: int = 8192,
        segmenter: AbstractSegmenter | None = None,
    ) -> None:
        self._model = model
        self._manifest = manifest
        self._batch_items = batch_items
        self._segmenter = segmenter
        self._compressor = LevelCompressor(model, manifest)

    @cached_property
    def _segments(self) -> SegmentConfig:
        """Asked when there is something to cut: without the segmenter a store can still be read."""
        return segments_of(self._manifest, self._segmenter)

    def build(
        self,
        store: AbstractStore,
        sources: Sequence[SourceText],
        progress: Progress = lambda _: None,
    ) -> list[SourcePatch]:
        """Make the patches that give each source its new text. Nothing is written.

        Windows that the new text leaves as they were are kept: an append costs the tail alone, an
        edit the windows around it. Windows that are the same in several places are compressed
        once, and not at all if they stand in any source of the store already.

        Args:
            store: Holds what was there before; a source that it lacks is new.
            sources: Distinct names.
            progress: Told as tokens are compressed.
        """
        return self._patches(
            store, [self._plan_windows(store, source) for source in sources], progress
        )

    def extend(
        self,
        store: AbstractStore,
        source: Source,
        text: bytes,
        progress: Progress = lambda _: None,
    ) -> SourcePatch:
        """Make the patch that puts text behind what a source holds. Nothing is written.

        Only the windows that are not sealed are read, so this costs the same at any length.

        Args:
            store: Holds the source.
            source: As it is.
            text: UTF-8.
            progress: Told as tokens are compressed.
        """
        number, windows = store.open_windows(source.source_id)
        start = windows[0].byte_span.start if windows else source.num_bytes
        text = store.text(source.source_id, Span(start, source.num_bytes)) + text
        node_start = source.level_counts[0] - sum(window.num_nodes for window in windows)
        plan = _WindowPlan(
            source.source_id,
            start,
            text,
            number,
            source.num_tokens - sum(len(window.token_ids) for window in windows),
            node_start,
            node_start,
            self._cut(text, start),
        )
        return self._patches(store, [plan], progress)[0]

    def _patches(
        self, store: AbstractStore, plans: Sequence[_WindowPlan], progress: Progress
    ) -> list[SourcePatch]:
        """Compress what is planned, level by level."""
        ids = [plan.source_id for plan in plans]
        levels = [[level] for level in self._compress_text(store, plans, progress)]
        for level in range(2, self._manifest.num_levels + 1):
            below = [built[-1] for built in levels]
            above = self._compress_nodes(store, ids, below, level)
            for built, new in zip(levels, above, strict=True):
                built.append(new)
        return [
            SourcePatch(
                plan.text_start,
                plan.text,
                plan.window_start,
                tuple(_record(window) for window in plan.windows),
                tuple(self._patch(level) for level in built),
            )
            for plan, built in zip(plans, levels, strict=True)
        ]

    def _plan_windows(self, store: AbstractStore, source: SourceText) -> _WindowPlan:
        """Find the first window that the new text changes and cut what follows anew."""
        found = store.find_source(source.name)
        records: list[WindowRecord] = []
        if found is not None:
            old = store.text(found.source_id)
            same = common_prefix_len(old, source.text)
            is_unchanged = len(old) == same == len(source.text)
            # An append changes no sealed window; an edit may change the one before it.
            margin = 0 if same == len(old) else self._segments.look_ahead_bytes
            for record in store.windows(found.source_id):
                is_kept = record.is_sealed and record.byte_span.stop + margin <= same
                if not is_kept and not is_unchanged:
                    break
                records.append(record)
        start = records[-1].byte_span.stop if records else 0
        num_tokens = sum(len(record.token_ids) for record in records)
        text = source.text[start:]
        return _WindowPlan(
            found.source_id if found is not None else None,
            start,
            text,
            len(records),
            num_tokens,
            sum(record.num_nodes for record in records),
            sum(record.num_nodes for record in records if record.is_sealed),
            self._cut(text, start),
        )

    def _cut(self, text: bytes, start: int) -> list[Window]:
        """The windows of a text that begins at byte `start` of its source."""
        score = partial(score_borders, self._model, self._segments)
        return list(iter_windows(text.decode(), self._model.encode, self._segments, start, score))

    def _compress_text(
        self, store: AbstractStore, plans: Sequence[_WindowPlan], progress: Progress
    ) -> list[_Level]:
        """Level 1 of every plan; what the store has, or several windows share, is made once."""
        contents = dict.fromkeys(window.content for plan in plans for window in plan.windows)
        nodes = known_windows(store, contents)
        nodes |= self._compress_windows([each for each in contents if each not in nodes], progress)
        levels = []
        for plan in plans:
            level = _Level(plan.node_start, plan.num_final)
            token = plan.token_start
            for window in plan.windows:
                level.children += [Span(token + s.start, token + s.stop) for s in window.spans]
                level.byte_spans += [window.byte_span_of(span) for span in window.spans]
                level.embeddings.append(nodes[window.content].embeddings_SD.to(self._model.device))
                level.keys.append(nodes[window.content].keys_SK.to(self._model.device))
                token += len(window.token_ids)
                level.num_final += len(window.spans) if window.is_sealed else 0
            levels.append(level)
        return levels

    def _compress_windows(
        self, contents: Sequence[WindowContent], progress: Progress
    ) -> dict[WindowContent, WindowNodes]:
        """Nodes of distinct windows; those of all sources share batches."""
        nodes: list[WindowNodes] = []
        for batch in _chunks(contents, max(1, self._batch_items // self._segments.window)):
            nodes += self._compressor.text(batch)
            progress(sum(len(token_ids) for token_ids, _ in batch))
        if sum(len(token_ids) for token_ids, _ in contents) > _TRIM_TOKENS:
            heap.trim()
        return dict(zip(contents, nodes, strict=True))

    def _compress_nodes(
        self, store: AbstractStore, ids: Sequence[int | None], below: Sequence[_Level], level: int
    ) -> list[_Level]:
        """Level `level` of every source: complete windows of nodes that nothing can change."""
        window, ratio = self._manifest.windows[level - 1], self._manifest.ratios[level - 1]
        spans = [Span(start, start + ratio) for start in range(0, window, ratio)]
        levels, jobs = [], []
        for source_id, lower in zip(ids, below, strict=True):
            first, last = min(lower.start, lower.num_final) // window, lower.num_final // window
            start = first * len(spans)
            built = _Level(start, last * len(spans))
            levels.append(built)
            if last == first:
                continue
            items, bytes_N = self._items(store, source_id, lower, level - 1, first * window)
            for number in range(first, last):
                offset, child = (number - first) * window, number * window
                part = slice(offset, offset + window)
                jobs.append((built, WindowNodes(items.embeddings_SD[part], items.keys_SK[part])))
                for span in spans:
                    built.children.append(Span(child + span.start, child + span.stop))
                    covered = bytes_N[offset + span.start : offset + span.stop]
                    built.byte_spans.append(Span(covered[0].start, covered[-1].stop))
        nodes: list[WindowNodes] = []
        for batch in _chunks(jobs, max(1, self._batch_items // window)):
            nodes += self._compressor.nodes([below for _, below in batch], level)
        for (built, _), (nodes_SD, keys_SK) in zip(jobs, nodes, strict=True):
            built.embeddings.append(nodes_SD)
            built.keys.append(keys_SK)
        return levels

    def _items(
        self, store: AbstractStore, source_id: int | None, lower: _Level, level: int, start: int
    ) -> tuple[WindowNodes, list[Span]]:
        """A level's nodes from `start` on and their bytes: stored ones, then new ones."""
        embeddings, keys = list(lower.embeddings), list(lower.keys)
        byte_spans = list(lower.byte_spans)
        if start < lower.start:
            assert source_id is not None
            stored = [NodeId(source_id, level, index) for index in range(start, lower.start)]
            for items, read in ((embeddings, store.embeddings), (keys, store.keys)):
                dtype = items[0].dtype if items else torch.float32
                items.insert(0, read(stored).to(self._model.device, dtype))
            byte_spans = [node.byte_span for node in store.nodes(stored)] + byte_spans
        return WindowNodes(torch.cat(embeddings), torch.cat(keys)), byte_spans

    def _patch(self, level: _Level) -> LevelPatch:
        width, key_width = self._manifest.embedding_width, self._manifest.key_width
        none = torch.zeros(0, device=self._model.device)
        return LevelPatch(
            level.start,
            tuple(level.children),
            tuple(level.byte_spans),
            torch.cat(level.embeddings) if level.embeddings else none.view(0, width),
            torch.cat(level.keys) if level.keys else none.view(0, key_width),
        )


def common_prefix_len(a: bytes, b: bytes) -> int:
    """Bytes that two texts share from their start on, cut back to a whole character."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    while low and low < len(b) and b[low] & 0xC0 == 0x80:
        low -= 1
    return low


def _record(window: Window) -> WindowRecord:
    return WindowRecord(
        window.token_ids, window.byte_ends, window.byte_span, window.is_sealed, len(window.spans)
    )


def _chunks(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
