"""Stores of random nodes with a planted structure, made without any model, of any size.

A leaf's key is a random direction, a parent's the direction of its children's sum, so a question
about a leaf is answered by walking towards it. Says nothing about how well a model compresses: it
is for the cost of a walk, and for what a strategy loses against a scan of every leaf.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmos.nodes import NodeId, Span
from lmos.store import AbstractStore, LevelPatch, Manifest, SourcePatch, WindowRecord
from lmos.store.sqlite import SQLiteStore

TOKEN_BYTES = 4
WINDOW = 256
RATIOS = (16, 4, 4)
SOURCE_TOKENS = 65_536

Vectors = NDArray[np.float32]


def planted_manifest(width: int) -> Manifest:
    """Of a store whose embeddings and keys have `width` numbers."""
    return Manifest(
        base_model="planted",
        base_hash="0" * 64,
        adapter_hash="untrained",
        tokenizer_hash="0" * 64,
        ratios=RATIOS,
        windows=(WINDOW, 16, 16),
        mask_mode="window",
        output_mode="residual",
        segmenter="fixed",
        scoring_layer=0,
        embedding_width=width,
        key_width=width,
    )


def make_planted_store(path: Path, num_tokens: int, width: int, seed: int = 0) -> SQLiteStore:
    """A new store of at least `num_tokens` tokens; holds one source in memory at a time."""
    store = SQLiteStore.create(path, planted_manifest(width))
    rng = np.random.default_rng(seed)
    for number in range(-(-num_tokens // SOURCE_TOKENS)):
        size = min(SOURCE_TOKENS, num_tokens - number * SOURCE_TOKENS)
        store.put_source(f"source {number}", _patch(rng, -(-size // WINDOW), width), time=0.0)
    return store


def _patch(rng: np.random.Generator, num_windows: int, width: int) -> SourcePatch:
    """A new source of whole windows, with every level complete."""
    num_bytes = num_windows * WINDOW * TOKEN_BYTES
    keys_NK = _directions(rng.standard_normal((num_windows * WINDOW // RATIOS[0], width)))
    levels: list[LevelPatch] = []
    items_bytes = TOKEN_BYTES
    for ratio in RATIOS:
        items_bytes *= ratio
        if levels:
            keys_NK = _directions(keys_NK.reshape(-1, ratio, width).sum(1))
        children = tuple(Span(i * ratio, (i + 1) * ratio) for i in range(len(keys_NK)))
        texts = tuple(Span(i * items_bytes, (i + 1) * items_bytes) for i in range(len(keys_NK)))
        vectors_NK = torch.from_numpy(keys_NK)
        levels.append(LevelPatch(0, children, texts, vectors_NK, vectors_NK))
    windows = tuple(_window(number) for number in range(num_windows))
    return SourcePatch(0, b"word" * (num_bytes // TOKEN_BYTES), 0, windows, tuple(levels))


def _window(number: int) -> WindowRecord:
    start = number * WINDOW * TOKEN_BYTES
    stop = start + WINDOW * TOKEN_BYTES
    ends = tuple(range(start + TOKEN_BYTES, stop + 1, TOKEN_BYTES))
    return WindowRecord((1,) * WINDOW, ends, Span(start, stop), True, WINDOW // RATIOS[0])


def _directions(vectors_NK: NDArray[Any]) -> Vectors:
    lengths_N1 = np.linalg.norm(vectors_NK, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors_NK / lengths_N1, dtype=np.float32)


@dataclass(frozen=True)
class PlantedQuestion:
    """A question about one leaf: its key, with noise.

    Attributes:
        leaf: What is to be found.
        vectors_RK: As a cached scorer takes them; one retrieval token.
    """

    leaf: NodeId
    vectors_RK: Tensor


def planted_questions(
    store: AbstractStore, num_questions: int, noise: float, seed: int = 1
) -> list[PlantedQuestion]:
    """Questions about random leaves.

    Args:
        store: From `make_planted_store`.
        num_questions: How many.
        noise: Length of what is added to a key of length 1.
        seed: Of the choice and the noise.
    """
    rng = np.random.default_rng(seed)
    sources = store.sources()
    questions = []
    for _ in range(num_questions):
        source = sources[rng.integers(len(sources))]
        leaf = NodeId(source.source_id, 1, int(rng.integers(source.level_counts[0])))
        key_1K = store.keys([leaf]).float()
        noise_1K = torch.from_numpy(_directions(rng.standard_normal(key_1K.shape)))
        questions.append(PlantedQuestion(leaf, key_1K + noise * noise_1K))
    return questions
