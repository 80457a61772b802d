"""The tree builder: the tree of a text is the same however the text came."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from building import (
    PIECES,
    WINDOWS,
    assert_same_content,
    children_of,
    extend,
    filled_store,
    prose,
    put,
    small_manifest,
)
from conftest import new_llama
from lmos.model.base import BaseModel
from lmos.nodes import Node, NodeId, Span
from lmos.settings import SEGMENTERS
from lmos.store import AbstractStore, WindowRecord
from lmos.store.memory import MemoryStore
from lmos.store.sqlite import SQLiteStore
from lmos.tree.builder import SourceText, TreeBuilder, common_prefix_len
from lmos.tree.keys import node_keys

TEXT = prose(150)


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


def text_of(patch_text: str) -> SourceText:
    return SourceText("a", patch_text.encode())


# One add or many


@pytest.mark.parametrize("segmenter", SEGMENTERS)
def test_many_appends_make_the_same_tree_as_one_add(
    tiny_llama: BaseModel, segmenter: str, tmp_path: Path
) -> None:
    manifest = small_manifest(tiny_llama, segmenter=segmenter)
    rng = random.Random(3)
    cuts = sorted(rng.sample(range(1, len(TEXT)), 20))
    whole = MemoryStore(manifest)
    put(whole, tiny_llama, "a", TEXT)
    for grown in (MemoryStore(manifest), SQLiteStore.create(tmp_path / "grown", manifest)):
        with grown:
            for stop in [*cuts, len(TEXT)]:
                put(grown, tiny_llama, "a", TEXT[:stop])
            assert_same_content(grown, whole)
    assert [len(whole.level_ids(level)) > 8 for level in (1, 2, 3)] == [True] * 3


@pytest.mark.parametrize("segmenter", SEGMENTERS)
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_tree_that_was_extended_is_that_of_one_add(
    tiny_llama: BaseModel, segmenter: str, kind: str, tmp_path: Path
) -> None:
    manifest = small_manifest(tiny_llama, segmenter=segmenter)
    cuts = [0, *sorted(random.Random(5).sample(range(1, len(TEXT)), 20)), len(TEXT)]
    whole = MemoryStore(manifest)
    put(whole, tiny_llama, "a", TEXT)
    grown: AbstractStore = MemoryStore(manifest)
    if kind == "sqlite":
        grown = SQLiteStore.create(tmp_path / "grown", manifest)
    with grown:
        put(grown, tiny_llama, "a", "")
        for start, stop in pairwise(cuts):
            extend(grown, tiny_llama, "a", TEXT[start:stop])
        assert_same_content(grown, whole)


def test_a_tree_grown_word_by_word_is_whole_after_every_word(
    store: AbstractStore, tiny_llama: BaseModel
) -> None:
    text = ""
    for word in TEXT.split(" ")[:30]:
        text += word + " "
        put(store, tiny_llama, "a", text)
        assert store.verify() == []
    assert_same_content(store, filled_store_like(store, tiny_llama, text))


@given(PIECES, PIECES, PIECES, PIECES)
@settings(deadline=None, max_examples=40)
def test_an_edit_anywhere_makes_the_tree_of_the_new_text(
    tiny_llama: BaseModel, before: str, old: str, new: str, after: str
) -> None:
    edited = filled_store(tiny_llama, a=before + old + after)
    put(edited, tiny_llama, "a", before + new + after, time=0.0)
    assert_same_content(edited, filled_store(tiny_llama, a=before + new + after))


@pytest.mark.parametrize("place", [0, 5, len(TEXT) // 2, len(TEXT) - 3])
def test_a_long_text_can_be_edited(store: AbstractStore, tiny_llama: BaseModel, place: int) -> None:
    put(store, tiny_llama, "a", TEXT)
    edited = TEXT[:place] + "New here. " + TEXT[place + 1 :]
    put(store, tiny_llama, "a", edited)
    assert_same_content(store, filled_store_like(store, tiny_llama, edited))


@pytest.mark.parametrize("length", [len(TEXT) - 1, len(TEXT) // 2, 10, 0])
def test_a_text_can_be_cut_short(store: AbstractStore, tiny_llama: BaseModel, length: int) -> None:
    put(store, tiny_llama, "a", TEXT)
    put(store, tiny_llama, "a", TEXT[:length])
    assert_same_content(store, filled_store_like(store, tiny_llama, TEXT[:length]))


@given(PIECES, PIECES, PIECES)
@settings(deadline=None, max_examples=40)
def test_extending_by_any_text_makes_the_tree_of_the_whole(
    tiny_llama: BaseModel, text: str, more: str, last: str
) -> None:
    grown = filled_store(tiny_llama, a=text)
    extend(grown, tiny_llama, "a", more)
    extend(grown, tiny_llama, "a", last)
    assert_same_content(grown, filled_store(tiny_llama, a=text + more + last))


class WatchedStore(MemoryStore):
    """Counts what is read of it."""

    num_bytes = num_nodes = 0

    def windows(self, source_id: int, start: int = 0) -> list[WindowRecord]:
        raise AssertionError("expected open windows only")

    def text(self, source_id: int, byte_span: Span | None = None) -> bytes:
        text = super().text(source_id, byte_span)
        self.num_bytes += len(text)
        return text

    def nodes(self, ids: Sequence[NodeId]) -> list[Node]:
        self.num_nodes += len(ids)
        return super().nodes(ids)


def test_extending_reads_no_more_the_longer_the_text(tiny_llama: BaseModel) -> None:
    for times in (1, 8):
        store = WatchedStore(small_manifest(tiny_llama))
        (patch,) = TreeBuilder(tiny_llama, store.manifest).build(store, [text_of(TEXT * times)])
        store.put_source("a", patch)
        extend(store, tiny_llama, "a", "One more. ")
        assert store.num_bytes < 3 * WINDOWS[0] * 4
        assert store.num_nodes < sum(WINDOWS[1:]) * 2
    assert store.source("a").num_bytes > 8 * len(TEXT)


def filled_store_like(store: AbstractStore, model: BaseModel, text: str) -> MemoryStore:
    other = MemoryStore(store.manifest)
    put(other, model, "a", text)
    return other


# What a patch holds


@pytest.mark.parametrize("num_words", [2, 20, 60, 150])
def test_an_unchanged_source_gives_an_empty_patch(
    store: AbstractStore, tiny_llama: BaseModel, num_words: int
) -> None:
    text = prose(num_words)
    source = put(store, tiny_llama, "a", text)
    told: list[int] = []
    builder = TreeBuilder(tiny_llama, store.manifest)
    (patch,) = builder.build(store, [text_of(text)], told.append)
    assert told == []
    assert (patch.text_start, patch.text, patch.windows) == (source.num_bytes, b"", ())
    assert tuple(level.start for level in patch.levels) == source.level_counts
    assert all(len(level.children) == len(level.embeddings) == 0 for level in patch.levels)
    assert store.put_source("a", patch) == source
    assert_same_content(store, filled_store_like(store, tiny_llama, text))


def test_an_append_compresses_the_tail_alone(store: AbstractStore, tiny_llama: BaseModel) -> None:
    source = put(store, tiny_llama, "a", TEXT)
    windows = store.windows(source.source_id)
    told: list[int] = []
    builder = TreeBuilder(tiny_llama, store.manifest)
    (patch,) = builder.build(store, [text_of(TEXT + "One more. ")], told.append)
    assert sum(told) == sum(len(window.token_ids) for window in patch.windows) < 3 * WINDOWS[0]
    assert patch.window_start == sum(window.is_sealed for window in windows) > 10
    assert patch.text_start == windows[patch.window_start - 1].byte_span.stop
    assert all(level.start > 0 for level in patch.levels)


def test_an_edit_keeps_the_windows_before_it(store: AbstractStore, tiny_llama: BaseModel) -> None:
    source = put(store, tiny_llama, "a", TEXT)
    place = len(TEXT) * 3 // 4
    builder = TreeBuilder(tiny_llama, store.manifest)
    (patch,) = builder.build(store, [text_of(TEXT[:place] + "!" + TEXT[place:])])
    edited_byte = len(TEXT[:place].encode())
    windows = store.windows(source.source_id)
    assert patch.window_start > len(windows) // 2
    assert edited_byte - patch.text_start < 4 * WINDOWS[0]
    assert windows[patch.window_start - 1].byte_span.stop == patch.text_start < edited_byte


def test_building_writes_nothing(store: AbstractStore, tiny_llama: BaseModel) -> None:
    put(store, tiny_llama, "a", TEXT)
    version = store.version
    TreeBuilder(tiny_llama, store.manifest).build(store, [text_of("other")])
    assert store.version == version
    assert store.text(1) == TEXT.encode()


def test_several_sources_at_once_equal_one_by_one(tiny_llama: BaseModel) -> None:
    texts = {"a": TEXT, "b": "short", "c": prose(70, seed=1), "d": prose(40, seed=2)}
    single = MemoryStore(small_manifest(tiny_llama))
    for name, text in texts.items():
        put(single, tiny_llama, name, text)
    together = MemoryStore(small_manifest(tiny_llama))
    put(together, tiny_llama, "a", TEXT[:400])
    sources = [SourceText(name, text.encode()) for name, text in texts.items()]
    patches = TreeBuilder(tiny_llama, together.manifest).build(together, sources)
    for source, patch in zip(sources, patches, strict=True):
        together.put_source(source.name, patch)
    assert_same_content(together, single)


# The shape of the tree


def test_children_partition_their_parents_at_every_level(
    store: AbstractStore, tiny_llama: BaseModel
) -> None:
    source = put(store, tiny_llama, "a", TEXT)
    for level in (1, 2, 3):
        nodes = store.nodes(store.level_ids(level))
        assert nodes[0].children.start == nodes[0].byte_span.start == 0
        assert all(left.children.stop == right.children.start for left, right in pairwise(nodes))
        for node in nodes:
            below = [child.byte_span for child in store.nodes(children_of(store, node.id))]
            if below:
                assert Span(below[0].start, below[-1].stop) == node.byte_span
                assert len(below) == store.manifest.ratios[level - 1]
    parented = {
        child for n in [*store.level_ids(2), *store.level_ids(3)] for child in children_of(store, n)
    }
    everything = {node_id for level in (1, 2, 3) for node_id in store.level_ids(level)}
    assert set(store.root_ids()) == everything - parented
    assert source.level_counts == tuple(len(store.level_ids(level)) for level in (1, 2, 3))


def test_leaves_concatenate_to_the_source(store: AbstractStore, tiny_llama: BaseModel) -> None:
    source = put(store, tiny_llama, "a", TEXT)
    leaves = store.nodes(store.level_ids(1))
    texts = [store.text(source.source_id, leaf.byte_span) for leaf in leaves]
    assert b"".join(texts) == TEXT.encode()
    windows = store.windows(source.source_id)
    assert leaves[-1].children.stop == sum(len(window.token_ids) for window in windows)


def test_upper_nodes_cover_only_what_can_no_longer_change(tiny_llama: BaseModel) -> None:
    store = filled_store(tiny_llama, a=TEXT)
    windows = store.windows(1)
    num_final = sum(window.num_nodes for window in windows if window.is_sealed)
    for below, level in ((1, 2), (2, 3)):
        nodes = store.nodes(store.level_ids(level))
        assert nodes[-1].children.stop == num_final // WINDOWS[level - 1] * WINDOWS[level - 1]
        num_final = len(store.level_ids(below + 1))


# The numbers


def test_embeddings_and_keys_are_those_of_the_compressor(keyed_llama: BaseModel) -> None:
    """A window compressed by hand, on its own."""
    store = filled_store(keyed_llama, a=TEXT)
    builder = TreeBuilder(keyed_llama, store.manifest)
    window = store.windows(1)[1]
    first = store.windows(1)[0].num_nodes
    ids = [NodeId(1, 1, index) for index in range(first, first + window.num_nodes)]
    starts = len(store.windows(1)[0].token_ids)
    spans_T = torch.zeros(1, len(window.token_ids), dtype=torch.long)
    for number, node in enumerate(store.nodes(ids)):
        spans_T[0, node.children.start - starts : node.children.stop - starts] = number
    with torch.no_grad():
        x_BTD = keyed_llama.embed(torch.tensor([window.token_ids]))
        nodes_SD = builder._compressor._compressor.compress(x_BTD, spans_T, len(ids), 1)[0]
        keys_SK = node_keys(keyed_llama, store.embeddings(ids), 1, keyed_llama.scoring_layer)
    torch.testing.assert_close(store.embeddings(ids), nodes_SD, rtol=1e-2, atol=1e-3)
    torch.testing.assert_close(store.keys(ids), keys_SK, rtol=1e-2, atol=1e-3)


def test_vectors_are_rounded_as_a_disk_rounds_them(tiny_llama: BaseModel) -> None:
    store = filled_store(tiny_llama, a=TEXT)
    for level in (1, 2, 3):
        for vectors in (
            store.embeddings(store.level_ids(level)),
            store.keys(store.level_ids(level)),
        ):
            assert vectors.equal(vectors.bfloat16().float())


def test_gradients_flow_from_the_top_to_the_weights(tokenizer_folder: Path) -> None:
    model = new_llama(tokenizer_folder, has_heads=False)
    store = MemoryStore(small_manifest(model))
    (patch,) = TreeBuilder(model, store.manifest).build(store, [text_of(TEXT[:200])])
    store.put_source("a", patch)
    store.keys(store.level_ids(3)).sum().backward()  # type: ignore[no-untyped-call]
    gradient = model.adapter.compression_LD.grad
    assert gradient is not None
    assert gradient.abs().sum(1).nonzero()[:, 0].tolist() == [1, 2, 3]
    embeddings: Tensor = model.module.get_input_embeddings().weight
    assert embeddings.grad is not None


@pytest.mark.parametrize("batch_items", [1, 24, 60, 200])
@pytest.mark.parametrize("has_heads", [True, False])
def test_a_forward_pass_holds_no_more_items_than_allowed(
    tiny_llama: BaseModel,
    keyed_llama: BaseModel,
    has_heads: bool,
    batch_items: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny_llama if has_heads else keyed_llama
    store = MemoryStore(small_manifest(model))
    builder = TreeBuilder(model, store.manifest, batch_items)
    compressor = builder._compressor._compressor
    compress, attention = compressor.compress, model.attention
    sizes, key_sizes = [], []

    def compress_and_count(x_BTD: Tensor, *rest: object, **named: object) -> Tensor:
        sizes.append(x_BTD.shape[0] * x_BTD.shape[1])
        return compress(x_BTD, *rest, **named)  # type: ignore[arg-type]

    def attention_and_count(x_BTD: Tensor, *rest: object) -> object:
        key_sizes.append(x_BTD.shape[0])
        return attention(x_BTD, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(compressor, "compress", compress_and_count)
    monkeypatch.setattr(model, "attention", attention_and_count)
    with torch.no_grad():
        (patch,) = builder.build(store, [text_of(TEXT)])
    # One window is the least there is.
    assert max(sizes) <= max(batch_items, WINDOWS[0])
    # Heads take their keys from the pass that compresses.
    assert bool(key_sizes) is not has_heads
    assert max(key_sizes, default=0) <= max(batch_items, WINDOWS[0])
    store.put_source("a", patch)
    assert_same_content(store, filled_store_like(store, model, TEXT))


# The common prefix


@given(
    st.text("aé世🌍", max_size=12), st.text("aé世🌍", max_size=12), st.text("aé世🌍", max_size=12)
)
@settings(deadline=None)
def test_the_common_prefix_is_the_longest_of_whole_characters(
    prefix: str, left: str, right: str
) -> None:
    a, b = prefix + left, prefix + right
    same = 0
    while same < min(len(a), len(b)) and a[same] == b[same]:
        same += 1
    assert common_prefix_len(a.encode(), b.encode()) == len(a[:same].encode())
