"""The recheck: silent about what the model wrote, loud about anything else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from building import filled_store, prose, put, small_manifest
from conftest import new_llama
from lmos.model.base import BaseModel
from lmos.store import AbstractStore, SourcePatch
from lmos.store.memory import MemoryStore
from lmos.store.whole import whole_patch
from lmos.tree.recheck import TOLERANCE, Rechecker

EVERYWHERE = 300


@pytest.fixture(scope="module")
def store(tiny_llama: BaseModel) -> MemoryStore:
    return filled_store(tiny_llama, a=prose(150), b=prose(40, seed=1))


def changed(store: AbstractStore, change: Callable[[SourcePatch], SourcePatch]) -> MemoryStore:
    """The store with its first source changed."""
    copy = MemoryStore(store.manifest)
    for number, source in enumerate(store.sources()):
        patch = whole_patch(store, source)
        copy.put_source(source.name, patch if number else change(patch))
    return copy


def test_what_the_model_wrote_has_no_faults(tiny_llama: BaseModel, store: MemoryStore) -> None:
    assert Rechecker(tiny_llama, store).find_faults(EVERYWHERE) == []
    assert Rechecker(tiny_llama, store).find_faults(0) == []
    empty = MemoryStore(small_manifest(tiny_llama))
    assert Rechecker(tiny_llama, empty).find_faults(5) == []


@pytest.mark.parametrize("segmenter", ["surprise", "attention"])
def test_spans_that_a_model_chose_are_found_again(tiny_llama: BaseModel, segmenter: str) -> None:
    store = MemoryStore(small_manifest(tiny_llama, segmenter=segmenter))
    put(store, tiny_llama, "a", prose(60))
    assert store.verify() == []
    assert Rechecker(tiny_llama, store).find_faults(EVERYWHERE) == []


def test_what_another_model_wrote_is_found(store: MemoryStore, tokenizer_folder: Path) -> None:
    faults = Rechecker(new_llama(tokenizer_folder, seed=8), store).find_faults(2)
    assert any("level 1, window" in fault and "embeddings are" in fault for fault in faults)
    assert any("level 3, window" in fault for fault in faults)


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("what", ["embeddings", "keys"])
def test_a_single_wrong_vector_is_found(
    tiny_llama: BaseModel, store: MemoryStore, level: int, what: str
) -> None:
    def change(patch: SourcePatch) -> SourcePatch:
        part = patch.levels[level - 1]
        vectors = getattr(part, what).clone()
        vectors[2] *= 1 + 3 * TOLERANCE
        levels = list(patch.levels)
        levels[level - 1] = replace(part, **{what: vectors})
        return replace(patch, levels=tuple(levels))

    faults = Rechecker(tiny_llama, changed(store, change)).find_faults(EVERYWHERE)
    assert any(f"source 'a': level {level}, window" in fault and what in fault for fault in faults)
    # What is made of the node is no longer what the store holds either.
    assert len(faults) <= 3


def test_wrong_tokens_are_found(tiny_llama: BaseModel, store: MemoryStore) -> None:
    def change(patch: SourcePatch) -> SourcePatch:
        first, *others = patch.windows
        token_ids = (first.token_ids[0] + 1, *first.token_ids[1:])
        return replace(patch, windows=(replace(first, token_ids=token_ids), *others))

    (fault,) = Rechecker(tiny_llama, changed(store, change)).find_faults(EVERYWHERE)
    assert fault == "source 'a': window 0 has other tokens than its text gives"
