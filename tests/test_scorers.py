"""Scorers: one contract for both, and each against the attention it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from building import filled_store, prose
from conftest import new_llama
from lmos.errors import QueryError
from lmos.model.base import BaseModel
from lmos.nodes import NodeId
from lmos.paper import JointScorer
from lmos.search.scorers import AbstractScorer, CachedScorer
from lmos.store import AbstractStore
from lmos.tree.keys import node_keys, query_room, query_vectors, retrieval_inputs

QUESTION = [17, 40, 41, 99]
LEVELS = pytest.mark.parametrize("level", [1, 2, 3])


@pytest.fixture(scope="module")
def tiny_llama(keyed_llama: BaseModel) -> BaseModel:
    """Its nodes have attention keys; those of heads are scored in `test_heads.py`."""
    return keyed_llama


@pytest.fixture(scope="module")
def store(tiny_llama: BaseModel) -> AbstractStore:
    return filled_store(tiny_llama, a=prose(90), b=prose(60, seed=1))


@pytest.fixture(params=[CachedScorer, JointScorer])
def scorer(request: pytest.FixtureRequest, tiny_llama: BaseModel) -> AbstractScorer:
    scorer: AbstractScorer = request.param(tiny_llama)
    return scorer


def scores_of(scorer: AbstractScorer, store: AbstractStore, ids: Sequence[NodeId]) -> Tensor:
    with torch.no_grad():
        return scorer.score(scorer.prepare(QUESTION), store, ids)


# The contract


@LEVELS
def test_scores_are_deterministic_one_row_a_retrieval_token(
    scorer: AbstractScorer, store: AbstractStore, level: int, tiny_llama: BaseModel
) -> None:
    ids = store.level_ids(level)
    scores_RN = scores_of(scorer, store, ids)
    assert scores_RN.shape == (tiny_llama.adapter.config.num_retrieval_tokens, len(ids))
    assert scores_RN.isfinite().all()
    assert scores_RN.equal(scores_of(scorer, store, ids))
    assert scores_RN.std(1).min() > 1e-4


def test_another_question_gives_other_scores(scorer: AbstractScorer, store: AbstractStore) -> None:
    ids = store.level_ids(2)
    with torch.no_grad():
        others = scorer.score(scorer.prepare([*QUESTION[1:], 5]), store, ids)
    assert (others - scores_of(scorer, store, ids)).abs().max() > 1e-4


def test_an_empty_question_is_refused(scorer: AbstractScorer) -> None:
    with pytest.raises(QueryError, match="empty"):
        scorer.prepare([])


def test_a_question_that_is_too_long_is_refused(
    scorer: AbstractScorer, tiny_llama: BaseModel
) -> None:
    room = query_room(tiny_llama)
    scorer.prepare([5] * room)
    with pytest.raises(QueryError, match=f"at most {room} tokens, got {room + 1}"):
        scorer.prepare([5] * (room + 1))


def test_gradients_reach_retrieval_tokens_and_head_weights(
    scorer: AbstractScorer, store: AbstractStore, tiny_llama: BaseModel
) -> None:
    adapter = tiny_llama.adapter
    inputs = [adapter.retrieval_RD, adapter.pool_RD]
    if isinstance(scorer, CachedScorer):
        inputs += [adapter.query_map_RQK, adapter.query_offset_Q, adapter.log_temperature]
    else:
        inputs += [adapter.head_weights_RH]
    scores_RN = scorer.score(scorer.prepare(QUESTION), store, store.level_ids(2))
    for gradient in torch.autograd.grad(scores_RN.square().sum(), inputs):
        assert gradient.abs().sum() > 0
        assert gradient.isfinite().all()


# Cached


@LEVELS
def test_cached_scores_are_the_attention_products_written_out(
    store: AbstractStore, tiny_llama: BaseModel, level: int
) -> None:
    model, ids = tiny_llama, store.level_ids(level)[::9]
    adapter, layer, room = model.adapter, model.scoring_layer, query_room(model)
    scores_RN = scores_of(CachedScorer(model, layer), store, ids)
    num_tokens, length = len(adapter.retrieval_RD), len(QUESTION)
    with torch.no_grad():
        question_TD = model.embed(torch.tensor(QUESTION))
        looks_RT = adapter.pool_RD @ question_TD.T / model.embedding_width**0.5
        mean_RD = looks_RT.softmax(-1) @ question_TD
        mean_RD = mean_RD / mean_RD.square().mean(-1, keepdim=True).sqrt() * adapter.scale
        x_TD = torch.cat([question_TD, mean_RD + adapter.retrieval_RD])
        positions = torch.tensor([[*range(room - length, room), *[room] * num_tokens]])
        mask = torch.ones(1, length + num_tokens, length + num_tokens, dtype=torch.bool).tril()
        asked = model.attention(x_TD[None], mask, positions, layer)
        for place, node_id in enumerate(ids):
            node_1D = store.embeddings([node_id]) + adapter.level_LD[level]
            alone = torch.ones(1, 1, 1, dtype=torch.bool)
            key = model.attention(node_1D[None], alone, torch.tensor([[room]]), layer).keys_BGTd
            for token in range(num_tokens):
                query_Q = asked.queries_BHTd[0, :, length + token].flatten()
                centred_Q = query_Q - adapter.query_offset_Q
                expected = centred_Q @ adapter.query_map_RQK[token] @ key.flatten()
                expected *= asked.scaling * adapter.log_temperature.exp()
                # The stored key is rounded to bfloat16.
                torch.testing.assert_close(scores_RN[token, place], expected, rtol=0.02, atol=0.05)


def test_cached_scores_do_not_depend_on_other_candidates_nor_on_their_order(
    store: AbstractStore, tiny_llama: BaseModel
) -> None:
    scorer, ids = CachedScorer(tiny_llama, tiny_llama.scoring_layer), store.level_ids(1)
    scores_RN = scores_of(scorer, store, ids)
    order = torch.randperm(len(ids), generator=torch.Generator().manual_seed(0))
    shuffled_RN = scores_of(scorer, store, [ids[place] for place in order])
    torch.testing.assert_close(shuffled_RN, scores_RN[:, order], rtol=1e-5, atol=1e-5)
    some_RN = scores_of(scorer, store, ids[3:7])
    torch.testing.assert_close(some_RN, scores_RN[:, 3:7], rtol=1e-5, atol=1e-5)


def test_node_keys_do_not_depend_on_other_nodes(
    store: AbstractStore, tiny_llama: BaseModel
) -> None:
    nodes_ND = store.embeddings(store.level_ids(2))
    with torch.no_grad():
        keys_NK = node_keys(tiny_llama, nodes_ND, 2, tiny_llama.scoring_layer)
        first_1K = node_keys(tiny_llama, nodes_ND[:1], 2, tiny_llama.scoring_layer)
        other_level_NK = node_keys(tiny_llama, nodes_ND, 1, tiny_llama.scoring_layer)
    assert keys_NK.shape == (len(nodes_ND), tiny_llama.key_width)
    torch.testing.assert_close(keys_NK[:1], first_1K, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(keys_NK, store.keys(store.level_ids(2)), rtol=1e-2, atol=1e-2)
    assert (keys_NK - other_level_NK).abs().max() > 1e-3


def test_a_question_in_a_batch_is_the_question_alone(tiny_llama: BaseModel) -> None:
    queries = [QUESTION, [9], [3] * 30]
    layer = tiny_llama.scoring_layer
    with torch.no_grad():
        together_BRK = query_vectors(tiny_llama, queries, layer)
        for row, query in enumerate(queries):
            alone_RK = query_vectors(tiny_llama, [query], layer)[0]
            torch.testing.assert_close(together_BRK[row], alone_RK, rtol=1e-4, atol=1e-4)


def test_retrieval_tokens_stand_where_the_nodes_do_whatever_the_question(
    tiny_llama: BaseModel,
) -> None:
    for query in ([5], [5] * 9):
        _, _, positions_BT = retrieval_inputs(tiny_llama, [query])
        room = query_room(tiny_llama)
        assert positions_BT[0].tolist() == [*range(room - len(query), room), room, room]


# The paper's


@LEVELS
def test_joint_scores_are_a_share_of_the_attention(
    store: AbstractStore, tiny_llama: BaseModel, level: int
) -> None:
    scorer = JointScorer(tiny_llama, tiny_llama.scoring_layer)
    sums_R = scores_of(scorer, store, store.level_ids(level)).exp().sum(1)
    torch.testing.assert_close(sums_R, torch.ones(len(sums_R)))


def joint_attention(
    model: BaseModel, store: AbstractStore, ids: Sequence[NodeId], layer: int
) -> Any:
    """Probabilities `(H, T, T)` over `[candidates; retrieval states]`, as transformers has them."""
    adapter, num_tokens = model.adapter, len(model.adapter.retrieval_RD)
    x_BTD, mask_BTT, positions_BT = retrieval_inputs(model, [QUESTION])
    states_RD = model.forward(x_BTD, mask_BTT, positions_BT)[0, -num_tokens:]
    states_RD = states_RD / states_RD.square().mean(-1, keepdim=True).sqrt() * adapter.scale
    nodes_ND = store.embeddings(ids) + adapter.level_LD[ids[0].level]
    model.module.set_attn_implementation("eager")
    try:
        x_1TD = torch.cat([nodes_ND, states_RD])[None]
        output = model.module(inputs_embeds=x_1TD, output_attentions=True, use_cache=False)
    finally:
        model.module.set_attn_implementation("lmos")
    return output.attentions[layer][0]


@LEVELS
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_joint_scores_are_those_of_one_joint_forward_pass(
    store: AbstractStore, tokenizer_folder: Path, level: int, layer: int
) -> None:
    model, ids = new_llama(tokenizer_folder), store.level_ids(level)
    with torch.no_grad():
        # As in the paper: the mean of the heads.
        model.adapter.head_weights_RH.fill_(0.25)
        scores_RN = scores_of(JointScorer(model, layer), store, ids)
        attention_HTT = joint_attention(model, store, ids, layer)
    shares_HRN = attention_HTT[:, len(ids) :, : len(ids)]
    shares_HRN = shares_HRN / shares_HRN.sum(-1, keepdim=True)
    torch.testing.assert_close(scores_RN.exp(), shares_HRN.mean(0), rtol=1e-4, atol=1e-5)


def test_more_candidates_than_fit_are_scored_in_groups(
    store: AbstractStore, tiny_llama: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer, ids = JointScorer(tiny_llama, tiny_llama.scoring_layer), store.level_ids(1)
    together_RN = scores_of(scorer, store, ids)
    num_tokens = tiny_llama.adapter.config.num_retrieval_tokens
    lengths = []
    attention = tiny_llama.attention

    def attention_and_length(x_BTD: Tensor, *rest: Any) -> Any:
        lengths.append(x_BTD.shape[1])
        return attention(x_BTD, *rest)

    monkeypatch.setattr(tiny_llama.module.config, "max_position_embeddings", 20)
    monkeypatch.setattr(tiny_llama, "attention", attention_and_length)
    grouped_RN = scores_of(scorer, store, ids)
    assert max(lengths) == 20
    assert sum(length - num_tokens for length in lengths) == len(ids)
    torch.testing.assert_close(grouped_RN.exp().sum(1), torch.ones(num_tokens))
    assert (grouped_RN - together_RN).abs().max() > 1e-4
