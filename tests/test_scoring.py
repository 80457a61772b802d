"""Scores to kept nodes: against loops, and the laws they keep."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lmos.errors import ConfigError
from lmos.search.scoring import select_nodes

SCORES = st.integers(1, 3).flatmap(
    lambda num_tokens: st.lists(
        st.lists(st.integers(-3, 3), min_size=num_tokens, max_size=num_tokens),
        min_size=1,
        max_size=9,
    ).map(lambda columns: torch.tensor(columns, dtype=torch.float32).T)
)


def naive_selection(scores: list[list[float]], top_c: int, beam: int) -> list[int]:
    nodes = range(len(scores[0]))
    kept: set[int] = set()
    for row in scores:
        kept |= set(sorted(nodes, key=lambda node: (-row[node], node))[:top_c])
    best = [max(row[node] for row in scores) for node in nodes]
    for node in sorted(nodes, key=lambda node: (-best[node], node)):
        if len(kept) < beam:
            kept.add(node)
    return sorted(kept)


@given(SCORES, st.integers(1, 10), st.integers(0, 12))
@settings(deadline=None, max_examples=200)
def test_selection_is_the_one_of_the_loops(scores_RN: Tensor, top_c: int, beam: int) -> None:
    kept = select_nodes(scores_RN, top_c, beam).tolist()
    assert kept == naive_selection(scores_RN.tolist(), top_c, beam)


@pytest.mark.parametrize(("top_c", "beam"), [(0, 0), (-1, 3), (1, -1)])
def test_a_selection_of_nothing_is_refused(top_c: int, beam: int) -> None:
    with pytest.raises(ConfigError, match="top_c"):
        select_nodes(torch.zeros(1, 3), top_c, beam)
