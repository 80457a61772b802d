"""Reuse: windows that a store has are not compressed again, and trees stay what they were."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from building import PIECES, assert_same_content, extend, num_compressed, prose, put, small_manifest
from lmos.model.base import BaseModel
from lmos.nodes import NodeId
from lmos.store import AbstractStore
from lmos.store.memory import MemoryStore
from lmos.store.sqlite import SQLiteStore
from lmos.tree.builder import SourceText, TreeBuilder
from lmos.tree.recheck import Rechecker

TEXT = prose(150)
AROUND = prose(60, seed=8) + "\n" + TEXT + prose(40, seed=9)
"""Another text with most of the same windows."""


@pytest.fixture(params=["memory", "sqlite"])
def store(
    request: pytest.FixtureRequest, tiny_llama: BaseModel, tmp_path: Path
) -> Iterator[AbstractStore]:
    manifest = small_manifest(tiny_llama)
    if request.param == "memory":
        yield MemoryStore(manifest)
    else:
        with SQLiteStore.create(tmp_path / "a.lmos", manifest) as store:
            yield store


def put_alone(store: AbstractStore, model: BaseModel, name: str, text: str) -> None:
    """Add a source whose tree is made as if the store were empty."""
    builder = TreeBuilder(model, store.manifest)
    with torch.no_grad():
        (patch,) = builder.build(MemoryStore(store.manifest), [SourceText(name, text.encode())])
    store.put_source(name, patch)


def store_alone(store: AbstractStore, model: BaseModel, **texts: str) -> MemoryStore:
    other = MemoryStore(store.manifest)
    for name, text in texts.items():
        put_alone(other, model, name, text)
    return other


def window_vectors(store: AbstractStore, name: str) -> dict[tuple[int, ...], Tensor]:
    """Embeddings and keys of each window of a source, by its tokens."""
    source_id, node = store.source(name).source_id, 0
    vectors = {}
    for window in store.windows(source_id):
        ids = [NodeId(source_id, 1, node + offset) for offset in range(window.num_nodes)]
        vectors[window.token_ids] = torch.cat([store.embeddings(ids), store.keys(ids)], 1)
        node += window.num_nodes
    return vectors


def test_an_early_edit_compresses_the_windows_around_it(
    store: AbstractStore, tiny_llama: BaseModel
) -> None:
    text = prose(400, seed=3)
    source = put(store, tiny_llama, "a", text)
    place = text.index(". ", 60) + 2
    edited = text[:place] + "New here. " + text[place:]
    assert 0 < num_compressed(store, tiny_llama, a=edited) < source.num_tokens / 4
    put(store, tiny_llama, "a", edited)
    assert_same_content(store, store_alone(store, tiny_llama, a=edited))
    # What is there and comes again elsewhere is not compressed either.
    assert num_compressed(store, tiny_llama, a=edited * 2) < source.num_tokens / 2


def test_identical_windows_are_compressed_once(store: AbstractStore, tiny_llama: BaseModel) -> None:
    once = num_compressed(store, tiny_llama, a=TEXT)
    assert once > 0
    assert num_compressed(store, tiny_llama, a=TEXT, b=TEXT) == once
    sources = [SourceText(name, TEXT.encode()) for name in "ab"]
    left, right = TreeBuilder(tiny_llama, store.manifest).build(store, sources)
    for mine, other in zip(left.levels, right.levels, strict=True):
        assert mine.children == other.children
        assert torch.equal(mine.embeddings, other.embeddings)


def test_windows_that_stand_in_another_source_are_not_compressed(
    store: AbstractStore, tiny_llama: BaseModel
) -> None:
    put(store, tiny_llama, "a", TEXT)
    known, windows = window_vectors(store, "a"), store_alone(store, tiny_llama, b=AROUND).windows(1)
    num_new = sum(len(window.token_ids) for window in windows if window.token_ids not in known)
    assert 0 < num_new < sum(len(window.token_ids) for window in windows) / 2
    assert num_compressed(store, tiny_llama, b=AROUND) == num_new
    put(store, tiny_llama, "b", AROUND)
    assert_same_content(store, store_alone(store, tiny_llama, a=TEXT, b=AROUND))


def test_what_is_appended_may_stand_in_another_source(
    store: AbstractStore, tiny_llama: BaseModel
) -> None:
    put(store, tiny_llama, "a", TEXT)
    source = put(store, tiny_llama, "b", AROUND[:200])
    told: list[int] = []
    builder = TreeBuilder(tiny_llama, store.manifest)
    builder.extend(store, source, AROUND[200:].encode(), told.append)
    assert 0 < sum(told) < store.source("a").num_tokens / 2
    extend(store, tiny_llama, "b", AROUND[200:])
    assert_same_content(store, store_alone(store, tiny_llama, a=TEXT, b=AROUND))


def test_a_text_under_another_name_is_not_compressed_again(
    store: AbstractStore, tiny_llama: BaseModel
) -> None:
    put(store, tiny_llama, "other", TEXT[::-1])
    put(store, tiny_llama, "old name", TEXT)
    assert num_compressed(store, tiny_llama, **{"new name": TEXT}) == 0


@pytest.mark.parametrize("gone", ["a", "b"])
def test_sources_that_share_windows_are_whole_without_each_other(
    store: AbstractStore, tiny_llama: BaseModel, gone: str
) -> None:
    texts = {"a": TEXT, "b": AROUND}
    for name, text in texts.items():
        put(store, tiny_llama, name, text)
    mine, other = (window_vectors(store, name) for name in texts)
    shared = mine.keys() & other.keys()
    assert len(shared) > len(mine) / 2
    assert all(torch.equal(mine[token_ids], other[token_ids]) for token_ids in shared)
    store.delete_source(gone)
    (left,) = texts.keys() - {gone}
    assert store.verify() == Rechecker(tiny_llama, store).find_faults(20) == []
    assert num_compressed(store, tiny_llama, again=texts[left]) == 0
    assert num_compressed(store, tiny_llama, **{gone: texts[gone]}) < len(texts[gone])
    kept = window_vectors(store, left)
    assert kept.keys() == (mine if left == "a" else other).keys()
    store.delete_source(left)
    alone = store_alone(store, tiny_llama, **texts)
    assert num_compressed(store, tiny_llama, a=TEXT) == alone.source("a").num_tokens


def test_what_an_edit_took_out_is_compressed_when_it_comes_back(
    store: AbstractStore, tiny_llama: BaseModel
) -> None:
    once = num_compressed(store, tiny_llama, b=TEXT)
    put(store, tiny_llama, "a", TEXT)
    put(store, tiny_llama, "a", TEXT[::-1])
    assert num_compressed(store, tiny_llama, b=TEXT) == once


@pytest.mark.parametrize("segmenter", ["sentence", "fixed"])
@given(PIECES, PIECES, PIECES)
@settings(deadline=None, max_examples=25)
def test_whatever_sources_share_their_trees_are_those_made_alone(
    tiny_llama: BaseModel, segmenter: str, left: str, shared: str, right: str
) -> None:
    store = MemoryStore(small_manifest(tiny_llama, segmenter=segmenter))
    texts = {"a": left + shared, "b": shared + right, "c": shared}
    for name, text in texts.items():
        put(store, tiny_llama, name, text)
    assert_same_content(store, store_alone(store, tiny_llama, **texts))


def test_a_damaged_source_keeps_no_other_from_being_added(
    tiny_llama: BaseModel, tmp_path: Path
) -> None:
    path = tmp_path / "a.lmos"
    with SQLiteStore.create(path, small_manifest(tiny_llama)) as store:
        source = put(store, tiny_llama, "a", TEXT)
    db = apsw.Connection(str(path))
    db.execute("UPDATE blocks SET crc = 0 WHERE kind = 'keys' AND level = 1")
    db.close()
    with SQLiteStore.open(path) as store:
        assert num_compressed(store, tiny_llama, b=TEXT) == source.num_tokens
        put(store, tiny_llama, "b", TEXT)
        faults = store.verify()
        assert faults
        assert all("(1, 1, 'keys'" in fault for fault in faults)
