"""From leaves with words up to the nodes above them: against a walk over children."""

from __future__ import annotations

import random

import numpy as np
import pytest

from building import children_of
from lmos.nodes import NodeId, NodeIds
from lmos.search.lexicalhits import LexicalHits
from lmos.store.memory import MemoryStore
from trees import MANIFEST, put_text


def best_below(store: MemoryStore, node_id: NodeId, scores: dict[NodeId, float]) -> float:
    """The best score of a leaf under a node."""
    if node_id.level == 1:
        return scores.get(node_id, 0.0)
    return max(best_below(store, child, scores) for child in children_of(store, node_id))


@pytest.mark.parametrize("seed", range(5))
def test_a_node_has_the_best_score_of_its_leaves(seed: int) -> None:
    dice, store = random.Random(seed), MemoryStore(MANIFEST)
    for name in "abc":
        put_text(store, name, b"", dice.randbytes(dice.randrange(1, 900)))
    leaves = dice.sample(list(store.level_ids(1)), 12)
    scores = np.array([dice.random() + 0.1 for _ in leaves], np.float32)
    hits = LexicalHits(store, NodeIds.of(leaves), scores)
    by_leaf = dict(zip(leaves, scores.tolist(), strict=True))
    for level in (1, 2, 3):
        ids = store.level_ids(level)
        some = ids.take(np.sort(dice.sample(range(len(ids)), len(ids) // 2)))
        for each in (ids, some):
            found = hits.best_below(each).tolist()
            assert found == [best_below(store, node_id, by_leaf) for node_id in each]
    leaves_but_three = NodeIds.of(sorted(set(store.level_ids(1)) - set(leaves[:3])))
    assert hits.without(leaves_but_three) == sorted(leaves[:3])


def test_no_leaves_lift_nothing() -> None:
    store = MemoryStore(MANIFEST)
    put_text(store, "a", b"", b"text " * 40)
    hits = LexicalHits(store, NodeIds.of([]), np.empty(0, np.float32))
    assert not hits.best_below(store.level_ids(2)).any()
    assert len(hits.without(store.level_ids(1))) == 0
