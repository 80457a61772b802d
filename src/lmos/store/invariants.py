"""The laws of a source's tree: windows and nodes join without gap, parents end where children end.

Pure functions over numbers, so that both stores refuse the same patches and find the same faults.
Knows neither tensors nor disks. See `lmos.store.base` for the laws in words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lmos.store.base import Spans, WindowRecord
from lmos.store.records import SourceRecord

MAX_TOKEN_ID = 2**32 - 1


@dataclass(frozen=True)
class TreeTail:
    """The end of a source's tree: of each level, the nodes from some index on.

    Attributes:
        window_start: Number of the first window given.
        first_token: Tokens of the windows before.
        first_node: Level-1 nodes of the windows before.
        windows: The windows from `window_start` on.
        starts: Index of the first node given, for each level.
        spans: The nodes from there on, for each level.
    """

    window_start: int
    first_token: int
    first_node: int
    windows: Sequence[WindowRecord]
    starts: tuple[int, ...]
    spans: tuple[Spans, ...]


def find_faults(record: SourceRecord, tail: TreeTail) -> Iterator[str]:
    """Every law that the tail breaks, one sentence each."""
    name = f"source {record.source.name!r}"
    shapes = zip(record.source.level_counts, tail.starts, tail.spans, strict=True)
    short = False
    for level, (count, start, spans) in enumerate(shapes, 1):
        if start + len(spans) != count:
            short = True
            yield f"{name}: level {level} has {start + len(spans)} nodes, expected {count}"
    if tail.window_start + len(tail.windows) != record.num_windows:
        short = True
        yield f"{name}: has {len(tail.windows)} windows, expected {record.num_windows}"
    if short:
        return
    for fault in _find_window_faults(record, tail):
        yield f"{name}: {fault}"
    for fault in _find_level_faults(record, tail):
        yield f"{name}: {fault}"


def _find_window_faults(record: SourceRecord, tail: TreeTail) -> Iterator[str]:
    stop = tail.windows[0].byte_span.start if tail.window_start else 0
    for number, window in enumerate(tail.windows, tail.window_start):
        if window.byte_span.start != stop:
            yield f"window {number} starts at byte {window.byte_span.start}, expected {stop}"
        stop = window.byte_span.stop
        yield from (f"window {number} has {fault}" for fault in _find_token_faults(window))
    if stop != record.source.num_bytes:
        yield f"the windows end at byte {stop}, expected {record.source.num_bytes}"
    num_nodes = tail.first_node + sum(window.num_nodes for window in tail.windows)
    if num_nodes == record.source.level_counts[0]:
        yield from _find_window_misfits(tail)
    else:
        yield f"the windows have {num_nodes} nodes, expected {record.source.level_counts[0]}"


def _find_token_faults(window: WindowRecord) -> Iterator[str]:
    ids = window.token_ids
    if len(window.token_bytes) != len(ids):
        yield f"{len(ids)} token ids, but {len(window.token_bytes)} offsets"
    start, stop = window.byte_span
    if any(left > right for left, right in pairwise((start, *window.token_bytes, stop))):
        yield "token offsets out of order or outside of its text"
    if ids and not 0 <= min(ids) <= max(ids) <= MAX_TOKEN_ID:
        yield f"a token id outside of 0..{MAX_TOKEN_ID}"


def _find_window_misfits(tail: TreeTail) -> Iterator[str]:
    """Windows that end elsewhere than their last node."""
    token, node = tail.first_token, tail.first_node
    for number, window in enumerate(tail.windows, tail.window_start):
        token, node = token + len(window.token_ids), node + window.num_nodes
        row = node - 1 - tail.starts[0]
        if row < 0:
            continue
        _, child_stop, _, byte_stop = tail.spans[0][row].tolist()
        if (child_stop, byte_stop) != (token, window.byte_span.stop):
            yield (
                f"window {number} ends at token {token}, byte {window.byte_span.stop}, "
                f"its last node {node - 1} at token {child_stop}, byte {byte_stop}"
            )


def _find_level_faults(record: SourceRecord, tail: TreeTail) -> Iterator[str]:
    num_children = (record.source.num_tokens, *record.source.level_counts)
    parented = (record.source.num_tokens, *record.parent_counts)
    for level, (start, spans) in enumerate(zip(tail.starts, tail.spans, strict=True), 1):
        yield from (f"level {level}, {fault}" for fault in _find_breaks(start, spans))
        last = last_child(spans)
        if last != parented[level - 1] or last > num_children[level - 1]:
            yield (
                f"level {level} covers {last} items of level {level - 1}, "
                f"expected {parented[level - 1]} of {num_children[level - 1]}"
            )
        elif level > 1:
            below, first = tail.spans[level - 2], tail.starts[level - 2]
            for fault in _find_misfits(start, spans, below, first):
                yield f"level {level}, {fault}"
    if record.parent_counts[-1]:
        yield f"level {len(tail.spans)} is the highest, yet has nodes with parents"


def _find_breaks(start: int, spans: Spans) -> Iterator[str]:
    """Nodes that do not begin where the node before ends, or are empty."""
    first = spans[:1, [0, 2]] if start else np.zeros((1, 2), np.int64)
    ends = np.concatenate([first, spans[:-1, [1, 3]]])[: len(spans)]
    bad = (spans[:, [0, 2]] != ends).any(axis=1)
    bad |= (spans[:, 1] <= spans[:, 0]) | (spans[:, 3] < spans[:, 2])
    for row in np.flatnonzero(bad).tolist():
        child, child_stop, byte, byte_stop = spans[row].tolist()
        yield (
            f"node {start + row} covers items {(child, child_stop)} and bytes {(byte, byte_stop)}, "
            f"expected starts at {tuple(ends[row].tolist())}"
        )


def _find_misfits(start: int, spans: Spans, below: Spans, first: int) -> Iterator[str]:
    """Nodes whose text ends elsewhere than that of their last child."""
    rows = spans[:, 1] - 1 - first
    known = np.flatnonzero((rows >= 0) & (rows < len(below)))
    for row in known[below[rows[known], 3] != spans[known, 3]].tolist():
        yield f"node {start + row} ends at byte {spans[row, 3]}, unlike its last child"


def last_child(spans: Spans) -> int:
    """Where the children of the last node end, 0 without a node."""
    return int(spans[-1, 1]) if len(spans) else 0
