"""Reencoding: the same sources for another model, whatever interrupts it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from building import assert_same_content, prose
from commands import failure, run, texts_in
from conftest import new_llama
from lmos.errors import ModelError, StoreFull, StoreLocked, StoreMismatch
from lmos.model.base import BaseModel
from lmos.model.released import DEFAULT_MODEL, RETIRED_MODELS
from lmos.session import Session
from lmos.store.drafts import draft_path
from lmos.store.sqlite import SQLiteStore
from lmos.upkeep import reencoding
from lmos.upkeep.reencoding import reencode

RATIOS = (16, 4, 2)
TEXTS = {"a": prose(150), "b": "short — déjà vu", "c": prose(90, seed=3)}


@pytest.fixture(scope="module")
def other(tokenizer_folder: Path) -> BaseModel:
    return new_llama(tokenizer_folder, seed=5)


@pytest.fixture
def path(tiny_llama: BaseModel, tmp_path: Path) -> Path:
    with Session.create(tmp_path / "life.lmos", tiny_llama, RATIOS) as session:
        fill(session)
        session.store.set_quota(10**9)  # type: ignore[attr-defined]
    return tmp_path / "life.lmos"


def fill(session: Session) -> None:
    for time, (name, text) in enumerate(TEXTS.items()):
        session.add(name, text, time=float(time), metadata={"is": name})


def assert_is_of(path: Path, model: BaseModel) -> None:
    """The store holds what the model makes of the texts; nothing is left beside it."""
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    with (
        Session.open(path, model) as found,
        Session.create(path.with_name("new"), model, RATIOS) as made,
    ):
        fill(made)
        assert_same_content(found.store, made.store)
        assert found.store.manifest == replace(made.store.manifest, max_bytes=10**9)


def test_a_store_becomes_one_of_another_model(path: Path, other: BaseModel) -> None:
    done: list[int] = []
    sources = reencode(path, other, done.append)
    assert [source.name for source in sources] == list(TEXTS)
    assert sum(done) == sum(len(text.encode()) for text in TEXTS.values())
    assert_is_of(path, other)


def stop_after(num_calls: int) -> Callable[[int], None]:
    """Somebody presses Ctrl-C, sooner or later."""
    calls = []

    def advance(num_bytes: int) -> None:
        calls.append(num_bytes)
        if len(calls) > num_calls:
            raise KeyboardInterrupt

    return advance


def test_it_goes_on_where_it_was_interrupted(
    path: Path, tiny_llama: BaseModel, other: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reencoding, "PIECE_BYTES", 300)
    before = path.read_bytes()
    for num_calls in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            reencode(path, other, stop_after(num_calls))
        assert path.read_bytes() == before
        Session.open(path, tiny_llama, read_only=True).close()
    done: list[int] = []
    reencode(path, other, done.append)
    assert done[0] > 600
    assert sum(done) == sum(len(text.encode()) for text in TEXTS.values())
    assert_is_of(path, other)


def test_what_changed_meanwhile_is_done_again(
    path: Path, tiny_llama: BaseModel, other: BaseModel
) -> None:
    with pytest.raises(KeyboardInterrupt):
        reencode(path, other, stop_after(2))
    with Session.open(path, tiny_llama) as session:
        session.forget("a")
        session.forget("b")
        session.add("b", TEXTS["c"])
    reencode(path, other)
    with SQLiteStore.open(path) as store:
        texts = {source.name: store.text(source.source_id) for source in store.sources()}
        assert texts == {"c": TEXTS["c"].encode(), "b": TEXTS["c"].encode()}
        assert store.verify() == []
    assert TEXTS["b"].encode() not in path.read_bytes()


def test_it_waits_for_nobody_and_loses_nothing(path: Path, other: BaseModel) -> None:
    with SQLiteStore.open(path, read_only=True) as reader:
        first = reader.text(1)
        with pytest.raises(StoreLocked, match="close it there"):
            reencode(path, other)
        assert reader.text(1) == first
        assert reader.verify() == []
    reencode(path, other)
    assert_is_of(path, other)


def test_it_goes_on_with_a_larger_quota(
    path: Path, tiny_llama: BaseModel, other: BaseModel
) -> None:
    with Session.open(path, tiny_llama) as session:
        session.add("long", prose(1200, seed=4))
    for max_bytes in (0, 10**9):
        with SQLiteStore.open(path) as store:
            store.set_quota(max_bytes)
            texts = [store.text(source.source_id) for source in store.sources()]
        if not max_bytes:
            with pytest.raises(StoreFull, match="Raise the quota"):
                reencode(path, other)
    reencode(path, other)
    with Session.open(path, other) as session:
        found = [session.store.text(source.source_id) for source in session.sources()]
        assert found == texts
        assert session.store.manifest.max_bytes == 10**9
        assert session.verify(deep=5) == []


def test_a_half_done_one_of_another_model_is_not_mixed(
    path: Path, other: BaseModel, tokenizer_folder: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        reencode(path, other, stop_after(2))
    with pytest.raises(StoreMismatch, match="was begun with"):
        reencode(path, new_llama(tokenizer_folder, seed=6))
    assert draft_path(path).exists()


@pytest.mark.parametrize("name", RETIRED_MODELS)
def test_a_store_of_a_model_that_is_gone_names_the_command_that_saves_it(
    name: str, tokenizer_folder: Path, other: BaseModel, tmp_path: Path
) -> None:
    path, gone = tmp_path / "life.lmos", new_llama(tokenizer_folder, seed=7)
    gone.name = name
    with Session.create(path, gone, RATIOS) as session:
        fill(session)
    command = f"lmos reencode STORE --model {DEFAULT_MODEL}"
    with pytest.raises(ModelError, match=command):
        Session.open(path)
    for words in (("ask", path, "Who?"), ("add", path, __file__), ("reencode", path)):
        said = failure(*words)
        assert command in said
        assert "elsewhere" not in said
    other.save_pretrained(tmp_path / "model")
    assert run("reencode", path, "--model", tmp_path / "model").exit_code == 0
    assert texts_in(path) == TEXTS
