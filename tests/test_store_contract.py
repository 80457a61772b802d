"""What every context store does, and that the two of them never differ."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ciphers import KEY
from lmos.errors import SourceNotFound, StoreError
from lmos.nodes import NodeId, Span
from lmos.store import AbstractStore, LevelPatch, Manifest, SourcePatch
from lmos.store.memory import MemoryStore
from lmos.store.sqlite import SQLiteStore
from trees import MANIFEST, all_ids, observe, patch_between, put_text, tree_of, vectors_of

MakeStore = Callable[[Manifest], AbstractStore]
TEXT = random.Random(0).randbytes(601)
NOTHING = tree_of(b"")


@pytest.fixture(params=["memory", "sqlite", "encrypted"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeStore]:
    stores: list[AbstractStore] = []

    def make(manifest: Manifest) -> AbstractStore:
        if request.param == "memory":
            stores.append(MemoryStore(manifest))
        else:
            key = KEY if request.param == "encrypted" else None
            stores.append(SQLiteStore.create(tmp_path / f"{len(stores)}.lmos", manifest, key))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def store(make_store: MakeStore) -> AbstractStore:
    return make_store(MANIFEST)


def test_a_new_store_is_empty(store: AbstractStore) -> None:
    assert store.manifest == MANIFEST
    assert store.version == 0
    assert store.sources() == []
    assert store.root_ids() == []
    assert store.level_ids(1) == []
    assert store.nodes([]) == []
    assert store.keys([]).shape == (0, MANIFEST.key_width)
    assert store.embeddings([]).shape == (0, MANIFEST.embedding_width)
    assert store.verify() == []


def test_a_put_source_can_be_read(store: AbstractStore) -> None:
    tree = tree_of(TEXT)
    source = put_text(store, "a", b"", TEXT)
    assert store.sources() == [source]
    assert store.source("a") == store.source_by_id(source.source_id) == source
    assert source.num_bytes == len(TEXT)
    assert source.num_tokens == sum(len(window.token_ids) for window in tree.windows)
    assert source.level_counts == tuple(len(level) for level in tree.levels)
    assert store.text(source.source_id) == TEXT
    assert store.windows(source.source_id) == list(tree.windows)
    assert store.windows(source.source_id, 3) == list(tree.windows[3:])
    assert store.windows(source.source_id, 1000) == []
    assert store.find_source("a") == source
    assert store.find_source("b") is None
    assert store.verify() == []


@pytest.mark.parametrize("length", [0, 5, 16, 160, 601])
def test_open_windows_are_those_after_the_last_sealed_one(
    store: AbstractStore, length: int
) -> None:
    put_text(store, "other", b"", TEXT)
    source = put_text(store, "a", b"", TEXT[:length])
    windows = store.windows(source.source_id)
    num_sealed = sum(window.is_sealed for window in windows)
    assert store.open_windows(source.source_id) == (num_sealed, windows[num_sealed:])
    with pytest.raises(SourceNotFound):
        store.open_windows(77)


def test_nodes_and_vectors_come_in_the_order_asked_for(store: AbstractStore) -> None:
    for name in ("a", "b"):
        put_text(store, name, b"", TEXT)
    ids = all_ids(store) + all_ids(store)
    random.Random(1).shuffle(ids)
    nodes = store.nodes(ids)
    assert [node.id for node in nodes] == ids
    keys, embeddings = store.keys(ids), store.embeddings(ids)
    for row, node in enumerate(nodes):
        text = TEXT[node.byte_span.start : node.byte_span.stop]
        for vectors in (keys, embeddings):
            expected = vectors_of(text, node.id.level, vectors.shape[1])
            torch.testing.assert_close(vectors[row].float(), expected, rtol=2**-8, atol=0)


def test_roots_are_the_nodes_that_are_nobodys_child(store: AbstractStore) -> None:
    for name, length in (("a", 601), ("b", 5), ("c", 100)):
        put_text(store, name, b"", TEXT[:length])
    children = {
        NodeId(node.id.source_id, node.id.level - 1, index)
        for node in store.nodes(all_ids(store))
        for index in range(*node.children)
    }
    assert store.root_ids() == sorted(set(all_ids(store)) - children)


def test_changes_that_are_one_are_kept_or_undone_together(store: AbstractStore) -> None:
    put_text(store, "a", b"", TEXT[:100])
    with store.changes():
        put_text(store, "b", b"", TEXT)
        put_text(store, "a", TEXT[:100], TEXT[:300])
        assert len(store.sources()) == 2
    before, version = observe(store), store.version
    with suppress(KeyError), store.changes():
        put_text(store, "c", b"", TEXT)
        store.keys(store.root_ids())
        store.delete_source("a")
        raise KeyError
    assert observe(store) == before
    assert store.version == version
    put_text(store, "c", b"", TEXT[:50])
    assert [source.name for source in store.sources()] == ["a", "b", "c"]
    assert store.keys(store.root_ids()).shape[0] == len(store.root_ids())
    assert store.verify() == []


def test_levels_list_their_nodes_in_order(store: AbstractStore) -> None:
    for name in ("a", "b"):
        put_text(store, name, b"", TEXT)
    for level in range(1, MANIFEST.num_levels + 1):
        ids = store.level_ids(level)
        assert ids == sorted(ids)
        counts = [source.level_counts[level - 1] for source in store.sources()]
        assert len(ids) == sum(counts)
    assert store.level_ids(0) == store.level_ids(MANIFEST.num_levels + 1) == []


@pytest.mark.parametrize("rewrite", [0, 1, 100])
def test_many_appends_make_the_same_tree_as_one(make_store: MakeStore, rewrite: int) -> None:
    whole, grown = make_store(MANIFEST), make_store(MANIFEST)
    put_text(whole, "a", b"", TEXT)
    for stop in range(0, len(TEXT) + 60, 60):
        put_text(grown, "a", TEXT[: max(stop - 60, 0)], TEXT[:stop], rewrite=rewrite)
    assert observe(grown) == observe(whole)


@pytest.mark.parametrize("kept", [0, 1, 17, 300])
def test_a_source_can_be_cut(make_store: MakeStore, kept: int) -> None:
    whole, cut = make_store(MANIFEST), make_store(MANIFEST)
    put_text(whole, "a", b"", TEXT[:kept])
    put_text(cut, "a", b"", TEXT)
    put_text(cut, "a", TEXT, TEXT[:kept])
    assert observe(cut) == observe(whole)


def test_texts_and_levels_longer_than_a_block_stay_whole(make_store: MakeStore) -> None:
    manifest = replace(MANIFEST, ratios=(400, 2), windows=(400, 4))
    store, text = make_store(manifest), random.Random(2).randbytes(200_001)
    put_text(store, "a", b"", text[:150_000])
    source = put_text(store, "a", text[:150_000], text)
    assert store.text(source.source_id) == text
    for start, stop in ((0, 65_536), (65_535, 65_537), (131_000, 200_001), (1, 199_999)):
        assert store.text(source.source_id, Span(start, stop)) == text[start:stop]
    assert len(store.level_ids(1)) > 128
    assert store.verify() == []


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (Span(0, 601), TEXT),
        (Span(10, 20), TEXT[10:20]),
        (Span(590, 10_000), TEXT[590:]),
        (Span(-5, 5), TEXT[:5]),
        (Span(7, 7), b""),
        (Span(9, 3), b""),
        (Span(700, 800), b""),
    ],
)
def test_a_stretch_of_text_is_clipped(store: AbstractStore, span: Span, expected: bytes) -> None:
    source = put_text(store, "a", b"", TEXT)
    assert store.text(source.source_id, span) == expected


@pytest.mark.parametrize("node_id", [(9, 1, 0), (1, 0, 0), (1, 4, 0), (1, 1, -1), (1, 1, 10**6)])
def test_a_node_that_does_not_exist_is_refused(
    store: AbstractStore, node_id: tuple[int, int, int]
) -> None:
    put_text(store, "a", b"", TEXT)
    ids = [NodeId(1, 1, 0), NodeId(*node_id)]
    for gather in (store.nodes, store.keys, store.embeddings):
        with pytest.raises(StoreError, match="has no node"):
            gather(ids)


def test_time_and_labels_stay_until_replaced(store: AbstractStore) -> None:
    patch = patch_between(NOTHING, NOTHING)
    source = store.put_source("a", patch, time=5, metadata={"tag": "x"})
    assert (source.time, dict(source.metadata)) == (5.0, {"tag": "x"})
    source = store.put_source("a", patch)
    assert (source.time, dict(source.metadata)) == (5.0, {"tag": "x"})
    store.put_source("a", patch, time=0.1, metadata={"é": "\x00"})
    source = store.source("a")
    assert (source.time, dict(source.metadata)) == (0.1, {"é": "\x00"})


def test_a_source_gets_another_name_and_keeps_the_rest(store: AbstractStore) -> None:
    put_text(store, "first", b"", TEXT[:90])
    before = put_text(store, "a", b"", TEXT)
    store.relabel_source("a", time=2.0, metadata={"tag": "x"})
    after = store.relabel_source("a", "b", time=3.0)
    assert after == replace(before, name="b", time=3.0, metadata={"tag": "x"})
    assert store.find_source("a") is None
    assert store.source("b") == store.source_by_id(before.source_id) == after
    assert [source.name for source in store.sources()] == ["first", "b"]
    assert store.text(after.source_id) == TEXT
    assert store.version == 4
    assert store.verify() == []
    assert store.relabel_source("b", "b", time=4.0).time == 4.0


def test_a_name_that_is_taken_or_none_is_refused(store: AbstractStore) -> None:
    put_text(store, "a", b"", TEXT[:90])
    put_text(store, "b", b"", TEXT)
    for new_name, message in (("b", "has a source named 'b' already"), ("", "Unicode characters")):
        with pytest.raises(StoreError, match=message):
            store.relabel_source("a", new_name, metadata={"tag": "x"})
    with pytest.raises(SourceNotFound):
        store.relabel_source("c", "d")
    assert [source.name for source in store.sources()] == ["a", "b"]
    assert store.source("a").metadata == {}
    assert store.version == 2


def test_names_and_labels_that_cannot_be_kept_are_refused(store: AbstractStore) -> None:
    patch = patch_between(NOTHING, NOTHING)
    for name in ("", "\udc80"):
        with pytest.raises(StoreError, match="expected a name"):
            store.put_source(name, patch)
    with pytest.raises(StoreError, match="expected a time"):
        store.put_source("a", patch, time=float("nan"))
    assert store.version == 0


def test_a_missing_source_is_named_with_similar_ones(store: AbstractStore) -> None:
    put_text(store, "diary.md", b"", TEXT)
    for find in (store.source, store.delete_source):
        with pytest.raises(SourceNotFound, match=r"'dairy.md'; similar: 'diary.md'"):
            find("dairy.md")
    for read in (store.source_by_id, store.text, store.windows):
        with pytest.raises(SourceNotFound, match="id 7"):
            read(7)


def test_a_window_is_found_in_any_source_that_has_its_tokens(store: AbstractStore) -> None:
    text = bytes(range(200))
    first, *_, last = tree_of(text).windows
    strange = (*first.token_ids[:-1], 255)
    assert store.find_windows([first.token_ids]) == {}
    a = put_text(store, "a", b"", text)
    found = store.find_windows([first.token_ids, last.token_ids, strange, ()])
    assert found == {
        first.token_ids: (a.source_id, first.byte_span),
        last.token_ids: (a.source_id, last.byte_span),
    }
    b = put_text(store, "b", b"", text)
    store.delete_source("a")
    assert store.find_windows([first.token_ids]) == {
        first.token_ids: (b.source_id, first.byte_span)
    }
    put_text(store, "b", text, text[:100])
    assert store.find_windows([first.token_ids, last.token_ids]).keys() == {first.token_ids}
    with suppress(ZeroDivisionError), store.changes():
        store.delete_source("b")
        assert store.find_windows([first.token_ids]) == {}
        raise ZeroDivisionError
    assert store.find_windows([first.token_ids]).keys() == {first.token_ids}


def test_a_deleted_source_is_gone_and_its_id_is_not_used_again(store: AbstractStore) -> None:
    put_text(store, "a", b"", TEXT)
    last = put_text(store, "b", b"", TEXT)
    store.delete_source("b")
    assert [source.name for source in store.sources()] == ["a"]
    assert {node_id.source_id for node_id in all_ids(store)} == {1}
    with pytest.raises(SourceNotFound):
        store.text(last.source_id)
    assert put_text(store, "b", b"", TEXT[:50]).source_id > last.source_id
    assert store.verify() == []


def test_the_version_grows_with_changes_alone(store: AbstractStore) -> None:
    put_text(store, "a", b"", TEXT)
    put_text(store, "a", TEXT, TEXT)
    assert store.version == 2
    observe(store)
    with pytest.raises(StoreError):
        store.delete_source("b")
    assert store.version == 2
    store.delete_source("a")
    assert store.version == 3


def _with_level(patch: SourcePatch, level: int, **changes: object) -> SourcePatch:
    part = replace(patch.levels[level - 1], **changes)  # type: ignore[arg-type]
    return replace(patch, levels=(*patch.levels[: level - 1], part, *patch.levels[level:]))


def _without_last(part: LevelPatch) -> dict[str, object]:
    return {
        "children": part.children[:-1],
        "byte_spans": part.byte_spans[:-1],
        "embeddings": part.embeddings[:-1],
        "keys": part.keys[:-1],
    }


def _moved(spans: tuple[Span, ...]) -> tuple[Span, ...]:
    return (Span(spans[0].start + 1, spans[0].stop), *spans[1:])


# Each takes the patch that appends to a source of 301 bytes, and breaks it.
BROKEN: dict[str, Callable[[SourcePatch], SourcePatch]] = {
    "text beyond the end": lambda p: replace(p, text_start=302),
    "text cut below kept windows": lambda p: replace(p, text_start=1, text=TEXT[1:]),
    "text that no window covers": lambda p: replace(p, text=p.text + b"x"),
    "windows beyond the end": lambda p: replace(p, window_start=99),
    "negative start": lambda p: replace(p, window_start=-1),
    "a window missing": lambda p: replace(p, windows=p.windows[1:]),
    "a window twice": lambda p: replace(p, windows=(p.windows[0], *p.windows)),
    "window of other size": lambda p: replace(
        p, windows=(replace(p.windows[0], num_nodes=2), *p.windows[1:])
    ),
    "window with an id too large": lambda p: replace(
        p, windows=(replace(p.windows[0], token_ids=(2**32,) * 8), *p.windows[1:])
    ),
    "window with offsets outside": lambda p: replace(
        p, windows=(replace(p.windows[0], token_bytes=(0,) * 8), *p.windows[1:])
    ),
    "window without offsets": lambda p: replace(
        p, windows=(replace(p.windows[0], token_bytes=()), *p.windows[1:])
    ),
    "too few levels": lambda p: replace(p, levels=p.levels[:-1]),
    "nodes beyond the end": lambda p: _with_level(p, 2, start=999),
    "last node missing": lambda p: _with_level(p, 1, **_without_last(p.levels[0])),
    "parents keep dropped children": lambda p: _with_level(p, 1, start=2),
    "a gap between children": lambda p: _with_level(p, 2, children=_moved(p.levels[1].children)),
    "a gap in the text": lambda p: _with_level(p, 1, byte_spans=_moved(p.levels[0].byte_spans)),
    "text unlike the children's": lambda p: _with_level(
        p, 2, byte_spans=(*p.levels[1].byte_spans[:-1], Span(p.levels[1].byte_spans[-1].start, 601))
    ),
    "fewer spans than nodes": lambda p: _with_level(p, 1, byte_spans=p.levels[0].byte_spans[:-1]),
    "wrong width": lambda p: _with_level(p, 1, keys=p.levels[0].embeddings),
    "not a number": lambda p: _with_level(p, 1, keys=p.levels[0].keys * float("nan")),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_patch_that_breaks_the_tree_is_refused(store: AbstractStore, what: str) -> None:
    put_text(store, "a", b"", TEXT[:301])
    before, version = observe(store), store.version
    patch = patch_between(tree_of(TEXT[:301]), tree_of(TEXT))
    with pytest.raises(StoreError):
        store.put_source("a", BROKEN[what](patch))
    assert (observe(store), store.version) == (before, version)
    store.put_source("a", patch)
    assert store.verify() == []


def test_a_new_source_must_start_at_nothing(store: AbstractStore) -> None:
    with pytest.raises(StoreError, match=r"starts at .*, expected 0\.\.0"):
        store.put_source("new", patch_between(tree_of(TEXT[:301]), tree_of(TEXT)))
    assert store.sources() == []


def test_numbers_too_large_for_the_dtype_are_refused(make_store: MakeStore) -> None:
    store = make_store(replace(MANIFEST, dtype="float16"))
    put_text(store, "a", b"", TEXT[:99])
    ids = all_ids(store)
    text = TEXT[: store.nodes(ids[:1])[0].byte_span.stop]
    expected = vectors_of(text, 1, MANIFEST.key_width)
    torch.testing.assert_close(store.keys(ids)[0].float(), expected, rtol=2**-11, atol=1e-6)
    patch = patch_between(NOTHING, tree_of(TEXT[:99]))
    with pytest.raises(StoreError, match="not finite in float16"):
        store.put_source("b", _with_level(patch, 1, keys=patch.levels[0].keys + 1e6))


def test_a_closed_store_can_be_closed_again(make_store: MakeStore) -> None:
    with make_store(MANIFEST) as store:
        source = put_text(store, "a", b"", TEXT)
        assert store.sources() == [source]
    store.close()


def test_memory_keeps_gradients_and_full_precision() -> None:
    store, patch = MemoryStore(MANIFEST), patch_between(NOTHING, tree_of(TEXT[:99]))
    embeddings = patch.levels[0].embeddings.clone().requires_grad_()
    keys = patch.levels[0].keys.clone().requires_grad_()
    store.put_source("a", _with_level(patch, 1, embeddings=embeddings, keys=keys))
    store.put_source("a", patch_between(tree_of(TEXT[:99]), tree_of(TEXT)))
    ids = [NodeId(1, 1, 2), NodeId(1, 2, 0), NodeId(1, 1, 0)]
    total = store.embeddings(ids).sum() + store.keys(ids).sum()
    for gradient in torch.autograd.grad(total, [embeddings, keys]):
        assert gradient[:4].mean(1).tolist() == [1, 0, 1, 0]
    assert torch.equal(store.keys(ids)[2], keys[0])
