"""The walk down the tree, level by level, for people and for machines.

Reads the store for names and texts of the nodes that were kept. Does not walk.
"""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from lmos.cli.output import count, name_end, one_line
from lmos.nodes import NodeId
from lmos.retriever import LevelTrace, Retrieval
from lmos.store import AbstractStore

_MAX_ROWS = 8
_SNIPPET_CHARS = 200
_SOURCE_CHARS = 24


def walk_json(store: AbstractStore, retrieval: Retrieval) -> list[dict[str, Any]]:
    """One entry a level, from the top; the kept nodes best first."""
    names = {source.source_id: source.name for source in store.sources()}
    return [
        {
            "level": trace.level,
            "candidates": trace.num_candidates,
            "kept": [
                {
                    "source": names[node.id.source_id],
                    "index": node.id.index,
                    "start_byte": node.byte_span.start,
                    "end_byte": node.byte_span.stop,
                    "score": score,
                }
                for node, (_, score) in zip(
                    store.nodes([node_id for node_id, _ in trace.kept]), trace.kept, strict=True
                )
            ],
        }
        for trace in retrieval.walk
    ]


def draw_walk(store: AbstractStore, retrieval: Retrieval) -> Tree:
    """A branch a level, its best nodes in rows; an arrow marks those that led to a passage."""
    names = {source.source_id: source.name for source in store.sources()}
    on_path = {
        NodeId(hit.source.source_id, step.level, step.index)
        for hit in retrieval.hits
        for step in hit.path
    }
    tree = Tree(Text("walk", style="bold"), guide_style="dim")
    for trace in retrieval.walk:
        title = (
            f"level {trace.level}: {count(trace.num_candidates, 'candidate')}, "
            f"{len(trace.kept):,} kept"
        )
        branch = tree.add(Text(title, style="bold"))
        branch.add(_rows(store, trace, names, on_path))
        if len(trace.kept) > _MAX_ROWS:
            branch.add(Text(f"and {len(trace.kept) - _MAX_ROWS} more", style="dim"))
    return tree


def _rows(
    store: AbstractStore, trace: LevelTrace, names: dict[int, str], on_path: set[NodeId]
) -> Table:
    kept = trace.kept[:_MAX_ROWS]
    shown_names = [name_end(names[node_id.source_id], _SOURCE_CHARS) for node_id, _ in kept]
    table = Table.grid(padding=(0, 1))
    table.add_column(min_width=1)
    table.add_column(justify="right", no_wrap=True, min_width=len(f"{-100:.2f}"))
    table.add_column(style="bold", no_wrap=True, min_width=max(map(len, shown_names), default=0))
    table.add_column(style="dim", no_wrap=True, overflow="ellipsis", ratio=1)
    nodes = store.nodes([node_id for node_id, _ in kept])
    for node, name, (node_id, score) in zip(nodes, shown_names, kept, strict=True):
        text = store.text(node_id.source_id, node.byte_span).decode(errors="replace")
        table.add_row(
            "→" if node_id in on_path else "",
            f"{score:.2f}",
            name,
            one_line(text, _SNIPPET_CHARS),
        )
    return table
