"""Trees and walks as they can be drawn: nodes with their ids, bytes, scores.

Reads a store; does not walk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lmos.nodes import Node, NodeId, Source, Span
from lmos.search.retriever import Retrieval
from lmos.search.strategies import LevelTrace
from lmos.server.shapes import (
    NodeShape,
    SourceShape,
    SourceText,
    TreeLevel,
    TreeReply,
    WalkLevel,
    WalkNode,
)
from lmos.store import AbstractStore

_LONGEST_CHARACTER = 4


def walk_of(store: AbstractStore, retrieval: Retrieval, max_kept: int) -> list[WalkLevel]:
    """Each level of a walk, from the top."""
    names = {source.source_id: source.name for source in store.sources()}
    on_path = {
        NodeId(hit.source.source_id, step.level, step.index)
        for hit in retrieval.hits
        for step in hit.path
    }
    return [_level_of(store, trace, names, on_path, max_kept) for trace in retrieval.walk]


def _level_of(
    store: AbstractStore,
    trace: LevelTrace,
    names: dict[int, str],
    on_path: set[NodeId],
    max_kept: int,
) -> WalkLevel:
    # Those that led to a passage are told, however many were better.
    order = sorted(range(len(trace.kept)), key=lambda at: trace.kept[at][0] not in on_path)
    told = sorted(order[:max_kept])
    nodes = store.nodes([trace.kept[place][0] for place in told])
    kept = [
        WalkNode(
            **_values_of(node, names[node.id.source_id]),
            score=trace.kept[place][1],
            lexical=None if trace.lexical is None else trace.lexical[place],
            is_on_path=node.id in on_path,
        )
        for place, node in zip(told, nodes, strict=True)
    ]
    return WalkLevel(
        level=trace.level,
        num_candidates=trace.num_candidates,
        num_kept=len(trace.kept),
        kept=kept,
    )


def tree_of(
    store: AbstractStore, name: str, levels: Sequence[int] | None, start: int, limit: int
) -> TreeReply:
    """Nodes of a source's tree, level by level from the top.

    Args:
        store: Is read.
        name: Of the source.
        levels: Those that are wanted; `None` for all.
        start: First index of each level.
        limit: Most nodes of each level.

    Raises:
        SourceNotFound: There is none of that name.
    """
    with store.snapshot():
        source = store.source(name)
        wanted = range(len(source.level_counts), 0, -1) if levels is None else levels
        return TreeReply(
            source=SourceShape.model_validate(source),
            levels=[_nodes_of(store, source, level, start, limit) for level in wanted],
        )


def _nodes_of(
    store: AbstractStore, source: Source, level: int, start: int, limit: int
) -> TreeLevel:
    num_nodes = source.level_counts[level - 1] if level <= len(source.level_counts) else 0
    ids = [
        NodeId(source.source_id, level, index)
        for index in range(start, min(start + limit, num_nodes))
    ]
    nodes = [NodeShape(**_values_of(node, source.name)) for node in store.nodes(ids)]
    return TreeLevel(level=level, num_nodes=num_nodes, start=start, nodes=nodes)


def text_of(store: AbstractStore, name: str, span: Span) -> SourceText:
    """A stretch of a source, made smaller where it would cut a character.

    Raises:
        SourceNotFound: There is none of that name.
    """
    with store.snapshot():
        source = store.source(name)
        data = store.text(source.source_id, span)
    start = min(span.start, source.num_bytes)
    # Bytes that go on with a character that began before.
    num_cut = next(
        (at for at, byte in enumerate(data[:_LONGEST_CHARACTER]) if byte & 0xC0 != 0x80),
        min(len(data), _LONGEST_CHARACTER),
    )
    text = data[num_cut:].decode(errors="ignore")
    start += num_cut
    return SourceText(source=name, start_byte=start, end_byte=start + len(text.encode()), text=text)


def _values_of(node: Node, source: str) -> dict[str, Any]:
    return {
        **node.id._asdict(),
        "source": source,
        "start_byte": node.byte_span.start,
        "end_byte": node.byte_span.stop,
        "first_child": node.children.start,
        "end_child": node.children.stop,
    }
