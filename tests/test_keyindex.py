"""The index over keys: what it finds, that it follows the store and is no part of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.planted import PlantedQuestion, make_planted_store, planted_questions
from building import filled_store
from lmos.errors import ConfigError
from lmos.model import BaseModel
from lmos.nodes import NodeId
from lmos.retriever import RetrievalConfig, Retriever
from lmos.scorers import Query
from lmos.store.sqlite import SQLiteStore

pytest.importorskip("faiss")

INDEX = RetrievalConfig(strategy="index", beam=64)
WIDTH = 24
TOKENS = 80_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    """Of two sources and 5,000 leaves: enough for an inverted file."""
    with make_planted_store(tmp_path / "planted.lmos", TOKENS, WIDTH) as store:
        yield store


def best(
    model: BaseModel, store: SQLiteStore, question: PlantedQuestion, config: RetrievalConfig
) -> NodeId | None:
    found = Retriever(model, config).search(store, Query(question.vectors_RK))
    return found.walk[-1].kept[0][0] if found.walk else None


def index_files(store: SQLiteStore) -> set[str]:
    return {path.name for path in store.path.parent.glob("*-index*")}


def test_the_index_finds_what_a_scan_finds(store: SQLiteStore, tiny_llama: BaseModel) -> None:
    questions = planted_questions(store, 40, noise=0.3)
    flat = replace(INDEX, strategy="flat")
    same = [
        best(tiny_llama, store, question, INDEX) == best(tiny_llama, store, question, flat)
        for question in questions
    ]
    assert sum(same) >= 38
    retrieval = Retriever(tiny_llama, INDEX).search(store, Query(questions[0].vectors_RK))
    assert retrieval.walk[0].num_candidates < 500
    assert retrieval.walk[0].level == 1
    assert retrieval.hits


def test_the_index_is_made_once_and_is_no_part_of_the_store(
    store: SQLiteStore, tiny_llama: BaseModel
) -> None:
    question, *_ = planted_questions(store, 1, noise=0.0)
    before, version = store.path.read_bytes(), store.version
    assert best(tiny_llama, store, question, INDEX) == question.leaf
    (name,) = index_files(store)
    made = (store.path.parent / name).stat().st_mtime_ns
    with SQLiteStore.open(store.path, read_only=True) as reader:
        assert best(tiny_llama, reader, question, INDEX) == question.leaf
    assert (store.path.parent / name).stat().st_mtime_ns == made
    assert (store.path.read_bytes(), store.version) == (before, version)
    assert store.verify() == []


def test_a_change_removes_the_index_and_the_next_question_makes_another(
    store: SQLiteStore, tiny_llama: BaseModel
) -> None:
    last = store.sources()[-1]
    questions = planted_questions(store, 30, noise=0.0)
    gone = next(q for q in questions if q.leaf.source_id == last.source_id)
    assert best(tiny_llama, store, gone, INDEX) == gone.leaf
    before = index_files(store)
    store.delete_source(last.name)
    assert index_files(store) == set()
    found = Retriever(tiny_llama, INDEX).search(store, Query(gone.vectors_RK))
    assert {hit.source.name for hit in found.hits} == {store.sources()[0].name}
    assert len(index_files(store) - before) == 1


def test_an_index_of_another_version_is_not_used(store: SQLiteStore, tiny_llama: BaseModel) -> None:
    question, *_ = planted_questions(store, 1, noise=0.0)
    best(tiny_llama, store, question, INDEX)
    (stale,) = index_files(store)
    kept = (store.path.parent / stale).read_bytes()
    store.delete_source(store.sources()[-1].name)
    (store.path.parent / stale).write_bytes(kept)
    found = Retriever(tiny_llama, replace(INDEX, beam=10_000)).search(
        store, Query(question.vectors_RK)
    )
    assert found.walk[0].num_candidates == len(store.level_ids(1))


def test_only_sources_that_are_asked_for_are_found(
    store: SQLiteStore, tiny_llama: BaseModel
) -> None:
    questions = planted_questions(store, 20, noise=0.0)
    future = replace(INDEX, since=1.0)
    assert best(tiny_llama, store, questions[0], future) is None
    index_sources = {q.leaf.source_id for q in questions}
    assert len(index_sources) == 2


def test_a_store_in_memory_and_a_scorer_without_keys_are_refused(tiny_llama: BaseModel) -> None:
    memory = filled_store(tiny_llama, a="A word. " * 20)
    with pytest.raises(ConfigError, match="a store on disk"):
        Retriever(tiny_llama, INDEX).retrieve(memory, [1, 2])
    with pytest.raises(ConfigError, match="the scorer cached"):
        RetrievalConfig(strategy="index", scorer="paper")


def test_without_faiss_the_message_says_what_to_install(
    store: SQLiteStore, tiny_llama: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    question, *_ = planted_questions(store, 1, noise=0.0)
    with pytest.raises(ConfigError, match=r"pip install 'lmos\[ann\]'"):
        best(tiny_llama, store, question, INDEX)
