"""The index over keys: what it finds, that it follows the store and is no part of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.planted import PlantedQuestion, make_planted_store, planted_questions
from building import filled_store
from children import child_running
from lmos.errors import ConfigError
from lmos.model.base import BaseModel
from lmos.nodes import NodeId
from lmos.paper import JointScorer
from lmos.search import vectorindex as keyindex
from lmos.search.retriever import RetrievalConfig, Retriever
from lmos.search.scorers import Query
from lmos.search.vectorindex import KeyIndex
from lmos.store.files import remove_indexes
from lmos.store.sqlite import SQLiteStore
from trees import MANIFEST, put_text

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
    last, gone = store.sources()[-1], question_in_last_source(store)
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


def test_a_reader_of_an_older_commit_leaves_no_index(
    store: SQLiteStore, tiny_llama: BaseModel
) -> None:
    gone = question_in_last_source(store)
    store._db.set_busy_timeout(0)
    with SQLiteStore.open(store.path, read_only=True) as reader:
        with reader.snapshot():
            store.delete_source(store.sources()[-1].name)
            assert best(tiny_llama, reader, gone, INDEX) == gone.leaf
            assert index_files(store) == set()
        assert best(tiny_llama, reader, gone, INDEX) != gone.leaf
        assert index_files(store) == {KeyIndex(store, 1).path.name}


@pytest.mark.parametrize("step", ["_build", "_is_latest"])
def test_a_change_while_an_index_is_made_removes_it(
    store: SQLiteStore, tiny_llama: BaseModel, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    gone, work = question_in_last_source(store), getattr(keyindex, step)
    store._db.set_busy_timeout(0)

    def work_and_forget(*arguments: object) -> object:
        done = work(*arguments)
        store.delete_source(store.sources()[-1].name)
        return done

    monkeypatch.setattr(keyindex, step, work_and_forget)
    with SQLiteStore.open(store.path, read_only=True) as reader:
        assert best(tiny_llama, reader, gone, INDEX) == gone.leaf
    assert index_files(store) == set()


def test_an_index_that_is_made_before_a_change_ends_is_removed_by_it(
    store: SQLiteStore, tiny_llama: BaseModel
) -> None:
    gone = question_in_last_source(store)
    store._db.set_busy_timeout(0)
    with SQLiteStore.open(store.path, read_only=True) as reader:
        with store.changes():
            store.delete_source(store.sources()[-1].name)
            assert best(tiny_llama, reader, gone, INDEX) == gone.leaf
            assert len(index_files(store)) == 1
        assert index_files(store) == set()


def test_an_index_of_changes_that_are_undone_does_not_stay(
    store: SQLiteStore, tiny_llama: BaseModel
) -> None:
    gone = question_in_last_source(store)
    with suppress(ZeroDivisionError), store.changes():
        store.delete_source(store.sources()[-1].name)
        assert best(tiny_llama, store, gone, INDEX) != gone.leaf
        raise ZeroDivisionError
    assert index_files(store) == set()
    assert best(tiny_llama, store, gone, INDEX) == gone.leaf


def test_an_index_that_gets_its_name_while_others_are_removed_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, glob = tmp_path / "a.lmos", Path.glob
    draft, index = (tmp_path / f"a.lmos-index1-abc{end}" for end in ("-new7-7", ""))
    draft.write_bytes(b"keys")

    def glob_too_early(self: Path, pattern: str) -> Iterator[Path]:
        found = list(glob(self, pattern))
        if draft.exists():
            draft.replace(index)
        yield from found

    monkeypatch.setattr(Path, "glob", glob_too_early)
    remove_indexes(path)
    assert list(tmp_path.iterdir()) == []


def test_a_new_store_has_no_index_of_one_that_was_there(
    store: SQLiteStore, tiny_llama: BaseModel
) -> None:
    best(tiny_llama, store, question_in_last_source(store), INDEX)
    store.close()
    store.path.unlink()
    assert index_files(store)
    SQLiteStore.create(store.path, store.manifest).close()
    assert index_files(store) == set()


def test_no_index_of_what_was_forgotten_lies_there_whoever_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.lmos"
    # What earlier tests opened has threads of faiss, so the child must not close it.
    monkeypatch.setattr(keyindex, "_open", keyindex._open.__wrapped__)

    def keep_reading(say: Callable[[str], None]) -> None:
        # Threads of the parent are not there after a fork.
        torch.set_num_threads(1)
        pytest.importorskip("faiss").omp_set_num_threads(1)
        with SQLiteStore.open(path, read_only=True) as reader:
            while True:
                with reader.snapshot():
                    KeyIndex(reader, 1)
                say(".")

    with SQLiteStore.create(path, MANIFEST) as store:
        put_text(store, "kept", b"", bytes(1000))
        # Changes do not wait for readers to let the log go.
        store._db.set_busy_timeout(0)
        with child_running(keep_reading) as child:
            for number in range(50):
                assert child.read().startswith(".")
                put_text(store, "more", b"", bytes(50 * number + 100))
                store.delete_source("more")
                assert filled_index_files(store) <= {KeyIndex(store, 1).path.name}


def filled_index_files(store: SQLiteStore) -> set[str]:
    """Names of those with content, whole or not."""
    names = set()
    for name in index_files(store):
        with suppress(FileNotFoundError):
            if store.path.with_name(name).stat().st_size:
                names.add(name.partition("-new")[0])
    return names


def question_in_last_source(store: SQLiteStore) -> PlantedQuestion:
    questions, last = planted_questions(store, 30, noise=0.0), store.sources()[-1]
    return next(each for each in questions if each.leaf.source_id == last.source_id)


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
    with pytest.raises(ConfigError, match="JointScorer does not use them"):
        Retriever(tiny_llama, INDEX, scorer=JointScorer(tiny_llama))


def test_without_faiss_the_message_says_what_to_install(
    store: SQLiteStore, tiny_llama: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    question, *_ = planted_questions(store, 1, noise=0.0)
    with pytest.raises(ConfigError, match=r"pip install 'lmos\[ann\]'"):
        best(tiny_llama, store, question, INDEX)
