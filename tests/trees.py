"""Trees to put into stores, made the way a compressor makes them but without a model.

A token is two bytes, a window a few tokens, and vectors follow from the text under a node. The
tree of a text does not depend on how the text came, so a patch between any two texts is known.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch

from lmos.nodes import NodeId, Source, Span
from lmos.store import AbstractStore, LevelPatch, Manifest, SourcePatch, WindowRecord

TOKEN_BYTES = 2
MANIFEST = Manifest(
    base_model="random",
    base_hash="b" * 64,
    adapter_hash="untrained",
    tokenizer_hash="t" * 64,
    ratios=(3, 2, 2),
    windows=(8, 4, 4),
    mask_mode="window",
    output_mode="residual",
    segmenter="fixed",
    scoring_layer=1,
    embedding_width=10,
    key_width=6,
)


@dataclass(frozen=True)
class Tree:
    """Everything that a text turns into: windows, and children and text of each level's nodes."""

    text: bytes
    windows: tuple[WindowRecord, ...]
    levels: tuple[tuple[tuple[Span, Span], ...], ...]


def tree_of(text: bytes, manifest: Manifest = MANIFEST) -> Tree:
    """The tree of a text."""
    ends = [min(end + TOKEN_BYTES, len(text)) for end in range(0, len(text), TOKEN_BYTES)]
    windows, level = [], []
    size = manifest.windows[0]
    for first in range(0, len(ends), size):
        tokens = range(first, min(first + size, len(ends)))
        starts = range(tokens.start, tokens.stop, manifest.ratios[0])
        for start in starts:
            child = Span(start, min(start + manifest.ratios[0], tokens.stop))
            level.append((child, Span(start * TOKEN_BYTES, ends[child.stop - 1])))
        windows.append(
            WindowRecord(
                token_ids=tuple(_token_id(text, token) for token in tokens),
                token_bytes=tuple(ends[token] for token in tokens),
                byte_span=Span(tokens.start * TOKEN_BYTES, ends[tokens.stop - 1]),
                is_sealed=len(tokens) == size and ends[tokens.stop - 1] % TOKEN_BYTES == 0,
                num_nodes=len(starts),
            )
        )
    levels = [level]
    for ratio in manifest.ratios[1:]:
        below, level = level, []
        for start in range(0, len(below) - ratio + 1, ratio):
            span = Span(below[start][1].start, below[start + ratio - 1][1].stop)
            level.append((Span(start, start + ratio), span))
        levels.append(level)
    return Tree(text, tuple(windows), tuple(map(tuple, levels)))


def _token_id(text: bytes, token: int) -> int:
    """All bytes of a token count: two windows with the same tokens have the same text."""
    return int.from_bytes(text[token * TOKEN_BYTES : (token + 1) * TOKEN_BYTES])


def vectors_of(text: bytes, level: int, width: int) -> torch.Tensor:
    """The `(width,)` vector of a node; follows from its text."""
    seed = torch.Generator().manual_seed(zlib.crc32(text) + level + width)
    return torch.randn(width, generator=seed)


def patch_between(
    old: Tree, new: Tree, manifest: Manifest = MANIFEST, *, rewrite: int = 0
) -> SourcePatch:
    """The patch that turns one tree into the other.

    Args:
        old: As it is.
        new: As it shall be.
        manifest: Widths of the vectors.
        rewrite: Windows and nodes to write again although they did not change.
    """
    window_start = max(_num_same(old.windows, new.windows) - rewrite, 0)
    text_start = old.windows[window_start - 1].byte_span.stop if window_start else 0
    if not rewrite:
        text_start = max(text_start, _num_same(old.text, new.text))
    first_node = sum(window.num_nodes for window in new.windows[:window_start])
    levels: list[LevelPatch] = []
    for level, (nodes, old_nodes) in enumerate(zip(new.levels, old.levels, strict=True), 1):
        pairs = zip(old_nodes, nodes, strict=False)
        same = [a == b and _text(old, a) == _text(new, b) for a, b in pairs]
        start = max(sum(takewhile(bool, same)) - rewrite, 0)
        if level == 1:
            start = max(start, first_node)
        else:
            start = min(start, sum(child.stop <= levels[-1].start for child, _ in old_nodes))
        fresh = nodes[start:]
        texts = [new.text[span.start : span.stop] for _, span in fresh]
        widths = (manifest.embedding_width, manifest.key_width)
        embeddings, keys = (
            torch.stack([vectors_of(text, level, width) for text in texts])
            if texts
            else torch.empty(0, width)
            for width in widths
        )
        children = tuple(child for child, _ in fresh)
        levels.append(
            LevelPatch(start, children, tuple(span for _, span in fresh), embeddings, keys)
        )
    return SourcePatch(
        text_start=text_start,
        text=new.text[text_start:],
        window_start=window_start,
        windows=new.windows[window_start:],
        levels=tuple(levels),
    )


def put_text(
    store: AbstractStore, name: str, old: bytes, new: bytes, *, rewrite: int = 0
) -> Source:
    """Change a source of one text to another text."""
    manifest = store.manifest
    patch = patch_between(tree_of(old, manifest), tree_of(new, manifest), manifest, rewrite=rewrite)
    return store.put_source(name, patch)


def all_ids(store: AbstractStore) -> list[NodeId]:
    """Every node of a store, level by level."""
    levels = range(1, store.manifest.num_levels + 1)
    return [node_id for level in levels for node_id in store.level_ids(level)]


def observe(store: AbstractStore) -> dict[str, object]:
    """Everything that a store shows, with vectors rounded as they are on disk."""
    sources, ids = store.sources(), all_ids(store)
    return {
        "sources": sources,
        "texts": [store.text(source.source_id) for source in sources],
        "places": [store.places(source.source_id) for source in sources],
        "windows": [store.windows(source.source_id) for source in sources],
        "roots": store.root_ids(),
        "nodes": store.nodes(ids),
        "keys": store.keys(ids).bfloat16().tolist(),
        "embeddings": store.embeddings(ids).bfloat16().tolist(),
        "faults": store.verify(),
    }


def _num_same(left: Sequence[object], right: Sequence[object]) -> int:
    pairs = zip(left, right, strict=False)
    return sum(takewhile(bool, (a == b for a, b in pairs)))


def _text(tree: Tree, node: tuple[Span, Span]) -> bytes:
    return tree.text[node[1].start : node[1].stop]
