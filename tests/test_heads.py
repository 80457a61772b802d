"""Retrieval heads: keys of a window follow from the window, and a tree's from its leaves."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from building import assert_same_content, extend, filled_store, prose, put, small_manifest
from conftest import LLAMA, new_llama
from lmos.errors import ConfigError
from lmos.model.base import UNTRAINED_HEADS, UNTRAINED_KEYS, BaseModel
from lmos.model.heads import HeadsConfig, RetrievalHeads
from lmos.nodes import NodeId, Span
from lmos.search.retriever import RetrievalConfig, Retriever
from lmos.search.scorers import CachedScorer
from lmos.session import make_manifest
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


# Heads that nobody trained

FACTS = [
    "Greta keeps a blue bicycle.",
    "The piano of Hugo is out of tune.",
    "Eva will come on Monday.",
    "Le café de Clara ferme à midi.",
]


@pytest.fixture(scope="module")
def untrained(tokenizer_folder: Path) -> BaseModel:
    return BaseModel.from_config(LLAMA, tokenizer_folder, seed=1)


def test_a_model_that_nobody_trained_finds_what_says_the_same(untrained: BaseModel) -> None:
    store = MemoryStore(make_manifest(untrained, (32, 4), window=64))
    for number, text in enumerate(FACTS):
        put(store, untrained, str(number), text)
    scorer, leaves = CachedScorer(untrained), store.level_ids(1)
    assert len(leaves) == len(FACTS)
    for number, text in enumerate(FACTS):
        with torch.no_grad():
            scores_RN = scorer.score(scorer.prepare(untrained.encode(text).ids), store, leaves)
        assert int(scores_RN[0].argmax()) == number


def test_a_rare_word_counts_more_than_frequent_ones() -> None:
    heads = RetrievalHeads(HeadsConfig(vocab_size=5000, embedding_width=64, key_width=32))
    heads.weigh_rare_tokens(torch.zeros(64))
    table_VD = torch.randn(5000, 64, generator=torch.Generator().manual_seed(0))
    frequent, rare = [11, 12, 13], 4321
    ids_BT = torch.tensor([[*frequent, 4000, rare, 21, 22, 23]])
    spans_BT = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1]])
    asked_BT = torch.tensor([[*frequent, rare]])
    with torch.no_grad():
        keys_SK = heads.leaf_keys(table_VD[ids_BT], ids_BT, spans_BT, 2)[0]
        query_K = heads.queries(table_VD[asked_BT], asked_BT, torch.ones_like(asked_BT).bool())[0]
    shared, telling = (keys_SK @ query_K).tolist()
    assert telling > 2 * abs(shared)


def test_keys_of_a_narrow_model_keep_likeness(untrained: BaseModel) -> None:
    heads = untrained.adapter.heads
    assert heads is not None
    assert heads.config.key_width == untrained.embedding_width
    generator = torch.Generator().manual_seed(0)
    x_ND = torch.randn(9, untrained.embedding_width, generator=generator)
    y_ND = x_ND - untrained.mean_embedding
    with torch.no_grad():
        torch.testing.assert_close(heads.question(x_ND) @ heads.question(x_ND).T, y_ND @ y_ND.T)


def test_what_all_tokens_share_is_no_likeness() -> None:
    heads = RetrievalHeads(HeadsConfig(vocab_size=6, embedding_width=20, key_width=8))
    mean_D = torch.linspace(-2, 5, 20)
    heads.weigh_rare_tokens(mean_D)
    ids_BT = torch.tensor([[1, 2, 3, 4]])
    spans_BT = torch.tensor([[0, 0, 1, 2]])
    x_BTD = torch.randn(1, 4, 20, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        near = [heads.leaf_keys(x_BTD + by, ids_BT, spans_BT, 3) for by in (0, mean_D)]
        heads.weigh_rare_tokens(torch.zeros(20))
        plain = heads.leaf_keys(x_BTD, ids_BT, spans_BT, 3)
    torch.testing.assert_close(near[1], plain)
    assert not torch.allclose(near[0], plain, atol=0.1)


def test_later_tokens_count_more() -> None:
    heads = RetrievalHeads(HeadsConfig(vocab_size=50_000, embedding_width=4, key_width=4))
    heads.weigh_rare_tokens(torch.zeros(4))
    weights_V = heads.gate_V.detach().exp()
    assert torch.equal(heads.gate_V, heads.question_gate_V)
    assert weights_V[[0, 100]].tolist() == pytest.approx([0.05, 0.05])
    assert (weights_V[200:].diff() > 0).all()
    assert weights_V[-1].item() == pytest.approx(math.log(50_000) - 5, rel=1e-4)


def test_a_wide_model_has_keys_of_the_usual_width(tokenizer_folder: Path) -> None:
    wide = BaseModel.from_config(
        {**LLAMA, "hidden_size": 320, "num_hidden_layers": 1}, tokenizer_folder, seed=0
    )
    assert wide.node_key_width == HeadsConfig.key_width == 256


def test_untrained_heads_are_the_same_each_time_and_take_no_random_number(
    untrained: BaseModel, tmp_path: Path
) -> None:
    untrained.save_pretrained(tmp_path)
    state = torch.get_rng_state()
    again = BaseModel.from_pretrained(tmp_path)
    assert torch.equal(state, torch.get_rng_state())
    assert again.adapter.hash() == untrained.adapter.hash()
    assert again.adapter_hash == untrained.adapter_hash == UNTRAINED_HEADS
    half = BaseModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert half.adapter_hash == UNTRAINED_HEADS


def test_a_model_with_attention_keys_shares_its_weights(untrained: BaseModel) -> None:
    keyed = untrained.with_attention_keys()
    assert keyed.adapter.heads is None
    assert keyed.adapter_hash == UNTRAINED_KEYS
    assert keyed.node_key_width == untrained.key_width
    assert keyed.module is untrained.module
    assert untrained.adapter.heads is not None


@pytest.mark.parametrize("name", ["vocab_size", "embedding_width", "key_width"])
def test_a_shape_without_numbers_is_refused(name: str) -> None:
    shape = {"vocab_size": 10, "embedding_width": 4, "key_width": 2, name: 0}
    with pytest.raises(ConfigError, match=name):
        HeadsConfig(**shape)
