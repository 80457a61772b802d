"""Reuse: nodes that a store has already, for windows that are the same as before.

Knows windows and the contract of stores; knows no models and does not decide what is cut where.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from lmos.nodes import NodeId, Span
from lmos.segments import Window, WindowContent
from lmos.store import AbstractStore


def known_windows(
    store: AbstractStore, source_id: int, windows: Iterable[Window]
) -> dict[WindowContent, Tensor]:
    """Nodes `(S, D)` of those windows of a source that are among `windows`, wherever they stood.

    An edit moves all windows behind it, but changes only the few after which the cuts are those of
    before again.
    """
    wanted = {window.token_ids for window in windows}
    known: dict[WindowContent, Tensor] = {}
    token = node = 0
    for record in store.windows(source_id) if wanted else []:
        if record.token_ids in wanted:
            ids = [NodeId(source_id, 1, node + offset) for offset in range(record.num_nodes)]
            children = [made.children for made in store.nodes(ids)]
            spans = tuple(Span(child.start - token, child.stop - token) for child in children)
            known[record.token_ids, spans] = store.embeddings(ids).float()
        token += len(record.token_ids)
        node += record.num_nodes
    return known
