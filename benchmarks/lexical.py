"""BM25 over a list of texts, by bm25s. Knows no model and no store."""

from __future__ import annotations

from collections.abc import Sequence

import bm25s


class LexicalIndex:
    """The yardstick that every learned search is measured against.

    Args:
        texts: What to search; at least one.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._size = len(texts)
        self._index = bm25s.BM25()
        self._index.index(bm25s.tokenize(list(texts), show_progress=False), show_progress=False)

    def rank(self, question: str, count: int) -> list[int]:
        """Numbers of the `count` best texts, best first."""
        tokens = bm25s.tokenize(question, show_progress=False)
        found, _ = self._index.retrieve(tokens, k=min(count, self._size), show_progress=False)
        return [int(number) for number in found[0]]
