"""Places: laws of both stores, what keeps them, and citations that name them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from building import RATIOS
from conftest import new_llama
from lmos.errors import SourceNotFound, StoreCorrupt, StoreError
from lmos.model.base import BaseModel
from lmos.nodes import PlaceMark, Span
from lmos.session import Session
from lmos.store import AbstractStore
from lmos.store.archive import read_archive, write_archive
from lmos.store.memory import MemoryStore
from lmos.store.places import place_of
from lmos.store.sqlite import SQLiteStore
from lmos.upkeep.reencoding import reencode
from lmos.upkeep.repairing import repair
from trees import MANIFEST, patch_between, put_text, tree_of

TEXT = b"It rained all day. " * 9
MARKS = (PlaceMark(0, "page 1"), PlaceMark(40, "page 2"), PlaceMark(90, "é\n\x00"))


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AbstractStore]:
    path = tmp_path / "life.lmos"
    is_disk = request.param == "sqlite"
    with SQLiteStore.create(path, MANIFEST) if is_disk else MemoryStore(MANIFEST) as store:
        yield store


def put(store: AbstractStore, name: str, marks: Sequence[PlaceMark]) -> int:
    patch = patch_between(tree_of(b""), tree_of(TEXT))
    return store.put_source(name, patch, places=marks).source_id


def test_places_are_kept_until_they_are_replaced_or_cut(store: AbstractStore) -> None:
    source_id = put(store, "a", list(MARKS))
    assert store.places(source_id) == MARKS
    other = put_text(store, "b", b"", TEXT)
    assert store.places(other.source_id) == ()
    store.relabel_source("a", "c", time=3.0)
    put_text(store, "c", TEXT, TEXT + b"More.", rewrite=2)
    assert store.places(source_id) == MARKS
    put_text(store, "c", TEXT + b"More.", TEXT[:60])
    assert store.places(source_id) == MARKS[:2]
    store.put_source("c", patch_between(tree_of(TEXT[:60]), tree_of(TEXT)), places=())
    assert store.places(source_id) == ()
    assert store.verify() == []


def test_places_go_with_their_source(store: AbstractStore) -> None:
    source_id = put(store, "a", MARKS)
    store.delete_source("a")
    with pytest.raises(SourceNotFound):
        store.places(source_id)
    if isinstance(store, SQLiteStore):
        assert store.path is not None
        assert b"page 2" not in store.path.read_bytes()


def test_a_change_that_is_undone_leaves_the_places(store: AbstractStore) -> None:
    source_id = put(store, "a", MARKS)
    with suppress(KeyError), store.changes():
        store.put_source("a", patch_between(tree_of(TEXT), tree_of(TEXT)), places=())
        raise KeyError
    assert store.places(source_id) == MARKS


@pytest.mark.parametrize(
    "marks",
    [
        [(0, "a"), (0, "b")],
        [(9, "a"), (3, "b")],
        [(-1, "a")],
        [(len(TEXT), "a")],
        [(0, "\ud800")],
    ],
)
def test_places_that_cannot_be_are_refused(
    store: AbstractStore, marks: list[tuple[int, str]]
) -> None:
    put(store, "a", MARKS)
    before = store.version
    with pytest.raises(StoreError, match="source 'b': "):
        put(store, "b", [PlaceMark(*mark) for mark in marks])
    assert store.version == before
    assert store.find_source("b") is None


def test_an_archive_keeps_places(store: AbstractStore, tmp_path: Path) -> None:
    put(store, "a", MARKS)
    put_text(store, "b", b"", TEXT)
    write_archive(store, tmp_path / "a.zip")
    copy = MemoryStore(MANIFEST)
    read_archive(tmp_path / "a.zip", copy)
    assert [copy.places(source.source_id) for source in copy.sources()] == [MARKS, ()]


# The place of a span


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ((0, 5), None),
        ((12, 14), "page 1"),
        ((5, 14), "page 1"),
        ((10, 31), "page 1–3"),
        ((20, 41), "page 2 – slide 1"),
        ((30, 30), "page 3"),
        ((40, 60), "slide 1"),
        ((50, 60), None),
    ],
)
def test_a_span_comes_from_its_places(span: tuple[int, int], expected: str | None) -> None:
    labels = ["page 1", "page 2", "page 3", "slide 1", ""]
    marks = [PlaceMark(10 * number, label) for number, label in enumerate(labels, 1)]
    assert place_of(marks, Span(*span)) == expected
    assert place_of([], Span(*span)) is None


@given(st.lists(st.integers(0, 60), unique=True).map(sorted), st.integers(0, 60), st.integers(1, 9))
@settings(deadline=None)
def test_places_are_found_as_by_going_through_all(
    starts: list[int], start: int, length: int
) -> None:
    marks = [PlaceMark(at, f"line {at}") for at in starts]
    touched = [
        mark.label
        for mark, stop in zip(marks, [*starts[1:], 99], strict=False)
        if mark.start_byte < start + length and start < stop
    ]
    found = place_of(marks, Span(start, start + length))
    if not touched:
        assert found is None
    else:
        ends = (touched[0], touched[-1].split()[1])
        assert found == (touched[0] if len(touched) == 1 else "–".join(ends))


# Sessions


def test_a_citation_names_its_place(tiny_llama: BaseModel, tmp_path: Path) -> None:
    pages = ["The fox sleeps under the bridge.\n\n", "Greta sold the piano to Hugo.\n\n"]
    marks = [PlaceMark(0, "page 1"), PlaceMark(len(pages[0]), "page 2")]
    with Session.create(tmp_path / "life.lmos", tiny_llama, RATIOS) as session:
        session.add("a.pdf", "".join(pages), places=marks)
        session.add("b.md", "The walnut cake is for Nadia.")
        citations = session.cite(session.retrieve("Who has the piano?"))
        found = {citation.text.strip(): citation.place for citation in citations}
        assert found["Greta sold the piano to Hugo."] == "page 2"
        assert found["The walnut cake is for Nadia."] is None
        answer = session.ask("Who has the piano?", max_new_tokens=2).complete()
        assert {citation.place for citation in answer.citations} >= {"page 2", None}


def test_what_is_put_behind_has_places_of_its_own_or_none(
    tiny_llama: BaseModel, tmp_path: Path
) -> None:
    with Session.create(tmp_path / "life.lmos", tiny_llama, RATIOS) as session:
        session.append("a", "One.", places=[PlaceMark(0, "page 1")])
        source = session.append("a", "Two.", places=[PlaceMark(0, "page 9")])
        assert session.store.text(source.source_id) == b"One.\nTwo."
        session.append("a", "Three.")
        assert session.store.places(source.source_id) == (
            PlaceMark(0, "page 1"),
            PlaceMark(5, "page 9"),
            PlaceMark(9, ""),
        )
        session.add("a", "One.\nTwo.")
        assert session.store.places(source.source_id) == ()


def test_a_long_text_gets_its_places_when_it_is_whole(
    tiny_llama: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmos.session._PART_CHARS", 300)
    marks = tuple(PlaceMark(at, f"line {at}") for at in range(0, 1000, 100))
    with Session.create(tmp_path / "life.lmos", tiny_llama, RATIOS) as session:
        source = session.add("a", "It rained. " * 100, places=marks)
        assert session.store.places(source.source_id) == marks


# Upkeep


@pytest.fixture
def path(tiny_llama: BaseModel, tmp_path: Path) -> Path:
    path = tmp_path / "life.lmos"
    with Session.create(path, tiny_llama, RATIOS) as session:
        session.add("a", TEXT.decode(), places=MARKS)
        session.add("b", TEXT.decode())
    return path


def places_in(path: Path) -> dict[str, object]:
    with SQLiteStore.open(path, read_only=True) as store:
        assert store.verify() == []
        return {source.name: store.places(source.source_id) for source in store.sources()}


def test_reencoding_keeps_places(path: Path, tokenizer_folder: Path) -> None:
    reencode(path, new_llama(tokenizer_folder, seed=2))
    assert places_in(path) == {"a": MARKS, "b": ()}


def test_a_repair_keeps_places_that_are_whole_and_names_those_that_are_not(
    path: Path, tiny_llama: BaseModel
) -> None:
    whole = path.read_bytes()
    assert whole.count(b'"page 2"') == 1
    path.write_bytes(whole.replace(b'"page 2"', b'"page 7"'))
    with SQLiteStore.open(path, read_only=True) as store:
        with pytest.raises(StoreCorrupt, match="places: source 1"):
            store.places(1)
        assert store.places(2) == ()
    done = repair(path, tiny_llama)
    assert (done.rebuilt, done.lost, done.unplaced) == ((), (), ("a",))
    assert places_in(path) == {"a": (), "b": ()}
    path.write_bytes(whole)
    assert places_in(path) == {"a": MARKS, "b": ()}
