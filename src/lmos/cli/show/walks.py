"""The walk down the tree, level by level, for people and for machines.

Reads the store for names and texts of the nodes that were kept. Does not walk.
"""

from __future__ import annotations

from typing import Any

from rich.cells import cell_len
from rich.table import Column, Table
from rich.text import Text
from rich.tree import Tree

from lmos.cli.show.output import count, name_end, one_line
from lmos.nodes import NodeId
from lmos.reading.telling import path_of
from lmos.search.retriever import Retrieval
from lmos.search.strategies import LevelTrace
from lmos.store import AbstractStore
from lmos.tree.headings import place_of, without_headings

_MAX_ROWS = 8
_SOURCE_CHARS = 24
_MIN_SNIPPET_CHARS = 10
# The tree's guides, the arrow, and a space between columns.
_FRAME_CHARS = 8 + 1 + 3


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
                    **({} if trace.lexical is None else {"lexical": trace.lexical[place]}),
                }
                for place, (node, (_, score)) in enumerate(
                    zip(store.nodes([each for each, _ in trace.kept]), trace.kept, strict=True)
                )
            ],
        }
        for trace in retrieval.walk
    ]


def draw_walk(store: AbstractStore, retrieval: Retrieval, width: int) -> Tree:
    """A branch a level, a few nodes in rows; an arrow marks those that led to a passage.

    Args:
        store: Was walked.
        retrieval: With its walk.
        width: Of the terminal, in columns.
    """
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
        if trace.lexical is not None:
            title += f", {sum(score > 0 for score in trace.lexical):,} with words of the question"
        branch = tree.add(Text(title, style="bold"))
        branch.add(_rows(store, trace, names, on_path, width))
        if len(trace.kept) > _MAX_ROWS:
            branch.add(Text(f"and {len(trace.kept) - _MAX_ROWS} more", style="dim"))
    return tree


def _rows(
    store: AbstractStore,
    trace: LevelTrace,
    names: dict[int, str],
    on_path: set[NodeId],
    width: int,
) -> Table:
    preferred = sorted(trace.kept, key=lambda kept: kept[0] not in on_path)[:_MAX_ROWS]
    kept = sorted(preferred, key=lambda kept: -kept[1])
    source_chars = max(_SOURCE_CHARS, width // 5)
    shown_names = [name_end(names[node_id.source_id], source_chars) for node_id, _ in kept]
    scores = [f"{score:.2f}" for _, score in kept]
    taken = max(map(cell_len, shown_names), default=0) + max(map(len, scores), default=0)
    snippet_chars = max(width - taken - _FRAME_CHARS, _MIN_SNIPPET_CHARS)
    table = Table.grid(*[Column(no_wrap=True) for _ in range(4)], padding=(0, 1))
    nodes = store.nodes([node_id for node_id, _ in kept])
    for node, name, score in zip(nodes, shown_names, scores, strict=True):
        source = store.source_by_id(node.id.source_id)
        text = store.text(node.id.source_id, node.byte_span).decode(errors="replace")
        headings = place_of(store, source, node.byte_span).headings if node.id.level == 1 else ()
        text = path_of("", headings) + "  " + without_headings(text, headings)
        table.add_row(
            "→" if node.id in on_path else " ",
            Text(score, justify="right"),
            Text(name, style="bold"),
            Text(one_line(text, snippet_chars), style="dim"),
        )
    return table
