"""Stores filled by the real builder with a tiny model, and what it takes to compare them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from lmos.model.base import BaseModel
from lmos.nodes import NodeId, Source
from lmos.session import make_manifest
from lmos.store import AbstractStore, Manifest
from lmos.store.memory import MemoryStore
from lmos.tree.builder import SourceText, TreeBuilder
from trees import observe

RATIOS = (4, 2, 2)
WINDOWS = (24, 4, 4)
WORDS = ["fox", "dog", "the", "sleeps", "a", "jumps", "déjà", "世界", "🌍", "42", "Mr.", "over"]
VECTORS = ("keys", "embeddings")
PIECES = st.lists(
    st.one_of(
        st.sampled_from(["\n", ". ", "x" * 30, "🌍" * 9, "世" * 20, "A. ", "\n\n\n", " " * 30]),
        st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join),
    ),
    max_size=8,
).map("".join)
"""Texts with all that is hard to cut."""


def small_manifest(model: BaseModel, **changes: Any) -> Manifest:
    """Three levels, and windows so small that a few sentences fill many."""
    manifest = make_manifest(model, RATIOS, window=WINDOWS[0])
    return replace(manifest, **{"windows": WINDOWS, **changes})


def prose(num_words: int, seed: int = 0) -> str:
    """Sentences of a few words, lines now and then."""
    rng = random.Random(seed)
    gaps = [" "] * 6 + [". ", "! ", "\n"]
    return "".join(rng.choice(WORDS) + rng.choice(gaps) for _ in range(num_words))


def put(
    store: AbstractStore,
    model: BaseModel,
    name: str,
    text: str,
    time: float | None = None,
    labels: Mapping[str, str] = {},
) -> Source:
    """Give one source a new text."""
    builder = TreeBuilder(model, store.manifest)
    with torch.no_grad():
        (patch,) = builder.build(store, [SourceText(name, text.encode())])
    return store.put_source(name, patch, time=time, metadata=labels)


def extend(store: AbstractStore, model: BaseModel, name: str, text: str) -> Source:
    """Put text behind what a source holds."""
    with torch.no_grad():
        patch = TreeBuilder(model, store.manifest).extend(store, store.source(name), text.encode())
    return store.put_source(name, patch)


def filled_store(model: BaseModel, **texts: str) -> MemoryStore:
    """A store in memory with these sources, one second apart."""
    store = MemoryStore(small_manifest(model))
    for second, (name, text) in enumerate(texts.items()):
        put(store, model, name, text, time=float(second))
    return store


def num_compressed(store: AbstractStore, model: BaseModel, **texts: str) -> int:
    """Tokens of text that are compressed to give some sources their new text."""
    told: list[int] = []
    sources = [SourceText(name, text.encode()) for name, text in texts.items()]
    TreeBuilder(model, store.manifest).build(store, sources, told.append)
    return sum(told)


def assert_same_content(left: AbstractStore, right: AbstractStore) -> None:
    """The same sources, text, windows and trees; vectors up to rounding."""
    ours, theirs = observe(left), observe(right)
    assert ours["faults"] == []
    for what, mine in ours.items():
        if what not in VECTORS:
            assert mine == theirs[what], what
    for what in VECTORS:
        mine_NW, other_NW = torch.tensor(ours[what]), torch.tensor(theirs[what])
        # A difference in the last bit before rounding to bfloat16 is one of 2^-8 after it, and
        # the levels above build on it.
        scale = float(mine_NW.abs().max()) if mine_NW.numel() else 1.0
        torch.testing.assert_close(mine_NW, other_NW, rtol=0, atol=0.03 * scale)


def generated_ids(
    model: BaseModel, prompt_TD: Tensor, *arguments: Any, **options: Any
) -> list[int]:
    """The ids of a whole generation."""
    return [token.token_id for token in model.generate(prompt_TD, *arguments, **options)]


def children_of(store: AbstractStore, node_id: NodeId) -> list[NodeId]:
    """The nodes below a node; none below level 1."""
    if node_id.level == 1:
        return []
    (node,) = store.nodes([node_id])
    return [NodeId(node_id.source_id, node_id.level - 1, index) for index in range(*node.children)]
