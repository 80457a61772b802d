"""A patch meets a source: checks that the result is a tree, and says what the source then is.

Reads only the end of the tree, through two functions that the store gives. Knows neither how a
store keeps things nor how it writes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lmos.errors import StoreError
from lmos.store.base import LevelPatch, SourcePatch, Spans, WindowRecord
from lmos.store.blocks import patch_spans, round_vectors
from lmos.store.invariants import TreeTail, find_faults, last_child
from lmos.store.manifest import Manifest
from lmos.store.records import SourceRecord

# From a number on: all windows of the source, from it to the last.
ReadWindows = Callable[[int], list[WindowRecord]]
# Level, start, stop: the spans of its nodes [start, stop).
ReadSpans = Callable[[int, int, int], Spans]


def patched_record(
    manifest: Manifest,
    before: SourceRecord,
    patch: SourcePatch,
    read_windows: ReadWindows,
    read_spans: ReadSpans,
) -> SourceRecord:
    """What the source is after the patch.

    Args:
        manifest: Of the store.
        before: The source as it is.
        patch: The change.
        read_windows: Reads windows as they are.
        read_spans: Reads nodes as they are.

    Raises:
        StoreError: The patch does not fit the source, or the result would not be a tree.
    """
    name = before.source.name
    _check_starts(before, patch)
    for level, part in enumerate(patch.levels, 1):
        _check_part(manifest, f"source {name!r}: level {level}", part)
    tail = _kept_tail(before, patch, read_windows(max(patch.window_start - 1, 0)), read_spans)
    _check_kept(name, patch, tail)
    spans = tuple(
        np.concatenate([kept, patch_spans(part)])
        for kept, part in zip(tail.spans, patch.levels, strict=True)
    )
    tail = replace(tail, windows=(*tail.windows, *patch.windows), spans=spans)
    after = _record_after(before, patch, tail)
    for fault in find_faults(after, tail):
        raise StoreError(f"the patch would break the tree: {fault}")
    return after


def _check_starts(before: SourceRecord, patch: SourcePatch) -> None:
    counts = before.source.level_counts
    if len(patch.levels) != len(counts):
        raise StoreError(f"expected a patch of {len(counts)} levels, got {len(patch.levels)}")
    starts = [
        ("text", patch.text_start, before.source.num_bytes),
        ("windows", patch.window_start, before.num_windows),
    ]
    for level, (part, count) in enumerate(zip(patch.levels, counts, strict=True), 1):
        starts.append((f"level {level}", part.start, count))
    for what, start, count in starts:
        if not 0 <= start <= count:
            raise StoreError(
                f"source {before.source.name!r}: the patch of {what} starts at {start}, "
                f"expected 0..{count}"
            )


def _check_part(manifest: Manifest, place: str, part: LevelPatch) -> None:
    if len(part.byte_spans) != len(part.children):
        raise StoreError(f"{place}: {len(part.children)} nodes, {len(part.byte_spans)} byte spans")
    for what, vectors, width in (
        ("embeddings", part.embeddings, manifest.embedding_width),
        ("keys", part.keys, manifest.key_width),
    ):
        if vectors.shape != (len(part.children), width):
            raise StoreError(
                f"{place}: expected {what} of shape {(len(part.children), width)}, "
                f"got {tuple(vectors.shape)}"
            )
        if not round_vectors(vectors, manifest.dtype).isfinite().all():
            raise StoreError(f"{place}: {what} are not finite in {manifest.dtype}")


def _kept_tail(
    before: SourceRecord, patch: SourcePatch, windows: list[WindowRecord], read_spans: ReadSpans
) -> TreeTail:
    """What is kept of the source: as much of its end as the patch's laws depend on."""
    kept_windows = windows[: min(patch.window_start, 1)]
    first_node = before.source.level_counts[0] - sum(window.num_nodes for window in windows)
    window_nodes = first_node + sum(window.num_nodes for window in kept_windows)
    starts: list[int] = []
    spans: list[Spans] = []
    num_parented = patch.levels[-1].start
    for level in range(len(patch.levels), 0, -1):
        stop = patch.levels[level - 1].start
        start = min(num_parented, stop - 1, window_nodes - 1 if level == 1 else stop)
        starts.insert(0, max(start, 0))
        spans.insert(0, read_spans(level, max(start, 0), stop))
        num_parented = last_child(spans[0])
    return TreeTail(
        window_start=max(patch.window_start - 1, 0),
        first_token=before.source.num_tokens - sum(len(window.token_ids) for window in windows),
        first_node=first_node,
        windows=kept_windows,
        starts=tuple(starts),
        spans=tuple(spans),
    )


def _check_kept(name: str, patch: SourcePatch, kept: TreeTail) -> None:
    """Check that nothing that is kept covers something that is dropped."""
    covered: list[tuple[str, int, int]] = []
    for window in kept.windows:
        covered.append(("text", window.byte_span.stop, patch.text_start))
        covered.append(("level 1", kept.first_node + window.num_nodes, patch.levels[0].start))
    for level, (spans, part) in enumerate(zip(kept.spans[1:], patch.levels, strict=False), 1):
        covered.append((f"level {level}", last_child(spans), part.start))
    for what, stop, start in covered:
        if start < stop:
            raise StoreError(
                f"source {name!r}: the patch of {what} starts at {start}, "
                f"but what is kept above it covers it up to {stop}"
            )


def _record_after(before: SourceRecord, patch: SourcePatch, tail: TreeTail) -> SourceRecord:
    source = replace(
        before.source,
        num_bytes=patch.text_start + len(patch.text),
        num_tokens=tail.first_token + sum(len(window.token_ids) for window in tail.windows),
        level_counts=tuple(part.start + len(part.children) for part in patch.levels),
    )
    return SourceRecord(
        source=source,
        num_windows=patch.window_start + len(patch.windows),
        parent_counts=(*(last_child(spans) for spans in tail.spans[1:]), 0),
    )
