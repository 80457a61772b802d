"""The benchmark of edits: every way to cut keeps all tokens, and a copy costs nothing."""

from __future__ import annotations

import pytest

from benchmarks.edits import WAYS, WINDOW, edited_texts, num_recomputed
from building import prose
from lmos.model.tokens import Tokens

TEXT = prose(3000)


def encode(text: str) -> Tokens:
    """A token a byte."""
    data = text.encode()
    return Tokens(tuple(data), tuple(range(1, len(data) + 1)))


@pytest.mark.parametrize("name", WAYS)
def test_windows_join_to_the_text_and_an_edit_counts_what_is_new(name: str) -> None:
    cut = WAYS[name]
    windows = cut(TEXT, encode)
    assert bytes(token for window in windows for token in window) == TEXT.encode()
    assert all(len(window) <= WINDOW for window in windows)
    assert num_recomputed(windows, cut(TEXT, encode)) == 0
    for edited in edited_texts(TEXT, 3, seed=1):
        assert len(edited) > len(TEXT)
        after = cut(edited, encode)
        assert 1 <= num_recomputed(windows, after) <= len(after)
