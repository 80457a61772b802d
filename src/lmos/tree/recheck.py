"""Recheck: does a store hold what the model makes of its text?

Compresses windows above a sample of places again, level by level, and compares. Knows the model,
the compressor and the contract of stores; repairs nothing.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator
from functools import partial
from itertools import accumulate

import torch
from jaxtyping import Float
from torch import Tensor

from lmos.model.base import BaseModel
from lmos.nodes import NodeId, Source, Span
from lmos.store import AbstractStore, Manifest, WindowRecord
from lmos.tree.borders import score_borders
from lmos.tree.levels import LevelCompressor
from lmos.tree.reuse import WindowNodes
from lmos.tree.segments import AbstractSegmenter, iter_windows, segments_of

TOLERANCE = 0.02
"""Largest distance of a vector from what it should be, as a share of its length.

Vectors are kept with eight bits, and a window that is compressed in another batch, or on another
machine, differs in the last bits.
"""


class Rechecker:
    """Compresses windows of a store again and says where it holds something else.

    Args:
        model: The one that wrote the store.
        store: Read as one commit left it.
        segmenter: The user's own, if the store was made with one.
    """

    def __init__(
        self, model: BaseModel, store: AbstractStore, segmenter: AbstractSegmenter | None = None
    ) -> None:
        self._model = model
        self._store = store
        self._manifest: Manifest = store.manifest
        self._compressor = LevelCompressor(model, self._manifest)
        self._segments = segments_of(self._manifest, segmenter)

    @torch.no_grad()
    def find_faults(self, num_places: int, seed: int = 0) -> list[str]:
        """What is wrong with the windows above some places, one sentence each.

        Args:
            num_places: Places of the text, drawn at random; every window above one is compressed
                again, once.
            seed: Of the draw.
        """
        with self._store.snapshot():
            sources = [source for source in self._store.sources() if source.num_tokens]
            faults = []
            for source, tokens in _draw(sources, num_places, seed):
                found = self._iter_source_faults(source, tokens)
                faults += [f"source {source.name!r}: {fault}" for fault in found]
            return faults

    def _iter_source_faults(self, source: Source, tokens: list[int]) -> Iterator[str]:
        records = self._store.windows(source.source_id)
        token_stops = list(accumulate(len(record.token_ids) for record in records))
        node_stops = list(accumulate(record.num_nodes for record in records))
        numbers = {bisect_right(token_stops, token) for token in tokens}
        for number in sorted(numbers):
            record, node_stop = records[number], node_stops[number]
            nodes = Span(node_stop - record.num_nodes, node_stop)
            yield from self._iter_text_faults(source, number, record, nodes)
        below = {node_stops[number] - records[number].num_nodes for number in numbers}
        for level in range(2, self._manifest.num_levels + 1):
            window, ratio = self._manifest.windows[level - 1], self._manifest.ratios[level - 1]
            count = source.level_counts[level - 1] * ratio
            windows = sorted({node // window for node in below if node < count})
            for number in windows:
                yield from self._iter_node_faults(source, level, number)
            below = {number * (window // ratio) for number in windows}

    def _iter_text_faults(
        self, source: Source, number: int, record: WindowRecord, span: Span
    ) -> Iterator[str]:
        """Whether a window has the tokens and the nodes that its text gives."""
        start, stop = record.byte_span
        ahead = Span(start, stop + self._segments.look_ahead_bytes)
        text = self._store.text(source.source_id, ahead).decode(errors="ignore")
        score = partial(score_borders, self._model, self._segments)
        window = next(iter_windows(text, self._model.encode, self._segments, start, score))
        if (window.token_ids, window.byte_ends) != (record.token_ids, record.token_bytes):
            yield f"window {number} has other tokens than its text gives"
            return
        (made,) = self._compressor.text([window.content])
        yield from self._iter_differences(source, 1, number, span, made)

    def _iter_node_faults(self, source: Source, level: int, number: int) -> Iterator[str]:
        """Whether a window of nodes has the parents that it gives."""
        window, ratio = self._manifest.windows[level - 1], self._manifest.ratios[level - 1]
        num_spans = window // ratio
        below = self._kept(source, level - 1, Span(number * window, (number + 1) * window))
        (made,) = self._compressor.nodes([below], level)
        span = Span(number * num_spans, (number + 1) * num_spans)
        yield from self._iter_differences(source, level, number, span, made)

    def _iter_differences(
        self, source: Source, level: int, number: int, span: Span, made: WindowNodes
    ) -> Iterator[str]:
        if len(made.keys_SK) != span.stop - span.start:
            found = span.stop - span.start
            yield f"level {level}, window {number}: {found} nodes, expected {len(made.keys_SK)}"
            return
        kept = self._kept(source, level, span)
        if self._model.adapter.heads is None:
            # The model may compute in another precision: keys follow from what was kept.
            keys_SK = self._compressor.attention_keys(kept.embeddings_SD, level)
            made = made._replace(keys_SK=keys_SK)
        for what, kept_SW, made_SW in (
            ("embeddings", kept.embeddings_SD, made.embeddings_SD),
            ("keys", kept.keys_SK, made.keys_SK),
        ):
            worst = float(_relative_distance(kept_SW, made_SW).max())
            if not worst <= TOLERANCE:
                yield (
                    f"level {level}, window {number}: {what} are {worst:.1%} away from what the "
                    f"model makes of the level below, expected at most {TOLERANCE:.0%}"
                )

    def _kept(self, source: Source, level: int, span: Span) -> WindowNodes:
        ids = [NodeId(source.source_id, level, index) for index in range(*span)]
        device = self._model.device
        return WindowNodes(
            self._store.embeddings(ids).to(device, torch.float32),
            self._store.keys(ids).to(device, torch.float32),
        )


def _draw(sources: list[Source], num_places: int, seed: int) -> Iterator[tuple[Source, list[int]]]:
    """Sources with some of their tokens; every token of the store is as likely."""
    rng = random.Random(seed)
    total = sum(source.num_tokens for source in sources)
    places = sorted(rng.randrange(total) for _ in range(num_places)) if total else []
    start = 0
    for source in sources:
        stop = start + source.num_tokens
        tokens = [place - start for place in places if start <= place < stop]
        if tokens:
            yield source, tokens
        start = stop


def _relative_distance(
    kept_NW: Float[Tensor, "N W"], made_NW: Float[Tensor, "N W"]
) -> Float[Tensor, " N"]:
    length_N = made_NW.norm(dim=1).clamp(min=torch.finfo(made_NW.dtype).tiny)
    distance_N: Tensor = (kept_NW - made_NW).norm(dim=1) / length_N
    return distance_N
