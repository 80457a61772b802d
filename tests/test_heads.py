"""Retrieval heads: keys of a window follow from the window, and a tree's from its leaves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from building import assert_same_content, extend, filled_store, prose, put, small_manifest
from conftest import new_llama
from lmos.errors import ConfigError
from lmos.model.base import BaseModel
from lmos.model.heads import HeadsConfig, RetrievalHeads
from lmos.nodes import NodeId, Span
from lmos.search.retriever import RetrievalConfig, Retriever
from lmos.store.memory import MemoryStore
from lmos.tree.levels import pad_windows
from lmos.tree.recheck import Rechecker

TEXT = prose(120)
KEY_WIDTH = 8


@pytest.fixture(scope="module")
def model(tokenizer_folder: Path) -> BaseModel:
    """A tiny model whose nodes get their keys from heads, compressed by its first layer alone."""
    model = new_llama(tokenizer_folder)
    shape = HeadsConfig(model.vocab_size, model.embedding_width, KEY_WIDTH)
    model.new_adapter(depth=1, has_prefix=True, heads=shape)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.adapter.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.fixture(scope="module")
def heads(model: BaseModel) -> RetrievalHeads:
    assert model.adapter.heads is not None
    return model.adapter.heads


def test_keys_have_length_one_and_the_wanted_width(model: BaseModel) -> None:
    store = filled_store(model, a=TEXT)
    for level in (1, 2, 3):
        keys_NK = store.keys(store.level_ids(level)).float()
        assert keys_NK.shape[1] == KEY_WIDTH == model.node_key_width
        torch.testing.assert_close(keys_NK.norm(dim=1), torch.ones(len(keys_NK)), atol=0.02, rtol=0)


def test_padding_changes_no_key(model: BaseModel, heads: RetrievalHeads) -> None:
    short = ((5, 6, 7, 8, 9), (Span(0, 2), Span(2, 5)))
    long = (tuple(range(3, 15)), (Span(0, 4), Span(4, 8), Span(8, 12)))
    for alone, together in (([short], [short, long]), ([long], [long, short])):
        keys = []
        for windows in (alone, together):
            ids_BT, spans_BT = pad_windows(windows)
            count = max(len(spans) for _, spans in windows)
            keys_BSK = heads.leaf_keys(model.embed(ids_BT), ids_BT, spans_BT, count)
            keys.append(keys_BSK[0, : len(alone[0][1])])
        torch.testing.assert_close(*keys)


def test_a_span_is_known_by_its_neighbours_too(model: BaseModel, heads: RetrievalHeads) -> None:
    spans = (Span(0, 2), Span(2, 4), Span(4, 6), Span(6, 8))
    windows = [((5, 6, 7, 8, 9, 10, 11, 12), spans), ((5, 6, 7, 8, 13, 14, 11, 12), spans)]
    ids_BT, spans_BT = pad_windows(windows)
    one_SK, other_SK = heads.leaf_keys(model.embed(ids_BT), ids_BT, spans_BT, 4)
    assert not torch.allclose(one_SK[1], other_SK[1], atol=1e-3)


def test_a_key_further_up_follows_from_its_childrens_alone(
    model: BaseModel, heads: RetrievalHeads
) -> None:
    store = filled_store(model, a=TEXT)
    for level in (2, 3):
        node = store.nodes([NodeId(1, level, 1)])[0]
        children = [NodeId(1, level - 1, index) for index in range(*node.children)]
        expected_NK = heads.lifted(store.keys(children).float()[None])
        kept_NK = store.keys([node.id]).float()
        torch.testing.assert_close(kept_NK, expected_NK, rtol=1e-2, atol=1e-2)


def test_text_added_in_pieces_makes_the_same_tree(model: BaseModel) -> None:
    grown = MemoryStore(small_manifest(model))
    put(grown, model, "a", "")
    for start in range(0, len(TEXT), 400):
        extend(grown, model, "a", TEXT[start : start + 400])
    whole = MemoryStore(small_manifest(model))
    put(whole, model, "a", TEXT)
    assert_same_content(grown, whole)


def test_what_heads_wrote_has_no_faults(model: BaseModel) -> None:
    assert Rechecker(model, filled_store(model, a=TEXT)).find_faults(200) == []


def test_the_walk_scores_by_query_times_key(model: BaseModel, heads: RetrievalHeads) -> None:
    store = filled_store(model, a=TEXT)
    ids = model.encode("Where is the mill?").ids
    ids_1T = torch.tensor([ids])
    with torch.no_grad():
        query_K = heads.queries(model.embed(ids_1T), ids_1T, torch.ones_like(ids_1T).bool())[0]
    expected = (store.keys(store.level_ids(1)).float() @ query_K).max()
    found = Retriever(model, RetrievalConfig(strategy="flat")).retrieve(store, ids)
    best = max(score for _, score in found.walk[-1].kept)
    assert best == pytest.approx(float(expected), rel=1e-3)


def test_an_adapter_with_heads_is_the_same_read_back(
    model: BaseModel, tokenizer_folder: Path, tmp_path: Path
) -> None:
    model.save_adapter(tmp_path)
    other = new_llama(tokenizer_folder)
    other.load_adapter(tmp_path)
    assert other.adapter.config == model.adapter.config
    assert other.adapter.hash() == model.adapter.hash()


def test_layers_above_the_depth_do_not_matter(model: BaseModel, tokenizer_folder: Path) -> None:
    other = new_llama(tokenizer_folder)
    other.adapter = model.adapter
    expected = filled_store(other, a=TEXT)
    with torch.no_grad():
        other.module.model.layers[1].mlp.down_proj.weight.add_(1.0)
    assert_same_content(filled_store(other, a=TEXT), expected)
    with torch.no_grad():
        other.module.model.layers[0].mlp.down_proj.weight.add_(1.0)
    ids = expected.level_ids(1)
    assert not torch.allclose(filled_store(other, a=TEXT).embeddings(ids), expected.embeddings(ids))


@pytest.mark.parametrize("name", ["vocab_size", "embedding_width", "key_width"])
def test_a_shape_without_numbers_is_refused(name: str) -> None:
    shape = {"vocab_size": 10, "embedding_width": 4, "key_width": 2, name: 0}
    with pytest.raises(ConfigError, match=name):
        HeadsConfig(**shape)
