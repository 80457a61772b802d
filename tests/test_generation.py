"""Generation: what the model is given to read, and what of its tokens is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from building import filled_store, generated_ids, prose
from lmos.errors import ConfigError
from lmos.model.base import BaseModel
from lmos.model.prompts import SYSTEM_PROMPT, UNKNOWN_ANSWER
from lmos.nodes import Hit, NodeId, Span
from lmos.reading.generation import prompt_embeddings, stream_answer
from lmos.search.passages import passage_of
from lmos.store import AbstractStore

QUESTION = "Who  sleeps?"


@pytest.fixture(scope="session")
def tiny_llama(endless_llama: BaseModel) -> BaseModel:
    """One whose answers go on as long as they may."""
    return endless_llama


@pytest.fixture(scope="module")
def store(tiny_llama: BaseModel) -> AbstractStore:
    return filled_store(tiny_llama, a=prose(60), b=prose(30, seed=1))


def hit(
    store: AbstractStore, node_id: NodeId, *, is_text: bool, byte_span: Span | None = None
) -> Hit:
    (node,) = store.nodes([node_id])
    source = store.source_by_id(node_id.source_id)
    return Hit(source, node, byte_span or node.byte_span, is_text, score=0.0, weight=0.5)


def embed(model: BaseModel, text: str) -> Tensor:
    with torch.no_grad():
        return model.embed(torch.tensor(model.encode(text).ids))


# The prompt


BEFORE = f"{SYSTEM_PROMPT}\n\nPassages:\n"
AFTER = "\nQuestion: Who sleeps?\nAnswer:"


def embed_pieces(model: BaseModel, *pieces: str) -> Tensor:
    """Pieces of text that are encoded one by one."""
    return torch.cat([embed(model, piece) for piece in pieces])


def test_texts_are_read_as_passages_before_the_question(
    tiny_llama: BaseModel, store: AbstractStore
) -> None:
    spans = [Span(0, 40), Span(60, 100)]
    hits = [hit(store, NodeId(1, 1, n), is_text=True, byte_span=s) for n, s in enumerate(spans)]
    texts = [f"{passage_of(store, each.source, each.byte_span).text}\n" for each in hits]
    prompt_TD = prompt_embeddings(tiny_llama, store, hits, QUESTION)
    pieces = (BEFORE.removesuffix("Passages:\n"), "Passages:\n", "[a | 1970-01-01]\n", *texts)
    after = ("\n", "Question: Who sleeps?", "\nAnswer:")
    assert prompt_TD.equal(embed_pieces(tiny_llama, *pieces, *after))


def test_embeddings_enter_with_the_embedding_of_their_level(
    tiny_llama: BaseModel, store: AbstractStore
) -> None:
    ids = [NodeId(1, 3, 0), NodeId(1, 1, 4), NodeId(2, 2, 1)]
    hits = [hit(store, node_id, is_text=False) for node_id in ids]
    prompt_TD = prompt_embeddings(tiny_llama, store, hits, QUESTION)
    level_LD = tiny_llama.adapter.level_LD.detach()
    num_before = len(tiny_llama.format.head_ids(QUESTION))
    for row, node_id in enumerate(ids, num_before):
        expected_D = store.embeddings([node_id])[0] + level_LD[node_id.level]
        torch.testing.assert_close(prompt_TD[row], expected_D)
    head, tail = tiny_llama.format.head_ids(QUESTION), tiny_llama.format.tail_ids(QUESTION)
    assert prompt_TD[:num_before].equal(tiny_llama.embed(torch.tensor(head)))
    assert prompt_TD[num_before + 3 :].equal(tiny_llama.embed(torch.tensor(tail)))
    assert tiny_llama.decode([*head, *tail]) == BEFORE + AFTER


def test_hits_are_read_in_the_order_given(tiny_llama: BaseModel, store: AbstractStore) -> None:
    text = hit(store, NodeId(1, 1, 2), is_text=True)
    node = hit(store, NodeId(1, 1, 5), is_text=False)
    text_first = prompt_embeddings(tiny_llama, store, [text, node], QUESTION)
    node_first = prompt_embeddings(tiny_llama, store, [node, text], QUESTION)
    start = len(tiny_llama.format.head_ids(QUESTION))
    (ids,) = tiny_llama.format.passage_ids([passage_of(store, text.source, text.byte_span)])
    stop = start + len(ids)
    assert text_first[stop].equal(node_first[start])
    assert text_first[start:stop].equal(node_first[start + 1 : stop + 1])


def test_without_hits_the_question_is_all_there_is(
    tiny_llama: BaseModel, store: AbstractStore
) -> None:
    pieces = (BEFORE.removesuffix("Passages:\n"), "Passages:\n")
    after = ("\n", "Question: Who sleeps?", "\nAnswer:")
    expected_TD = embed_pieces(tiny_llama, *pieces, "(none)\n", *after)
    assert prompt_embeddings(tiny_llama, store, [], QUESTION).equal(expected_TD)
    empty = hit(store, NodeId(1, 1, 0), is_text=True, byte_span=Span(5, 5))
    expected_TD = embed_pieces(tiny_llama, *pieces, *after)
    assert prompt_embeddings(tiny_llama, store, [empty], QUESTION).equal(expected_TD)


def test_a_prompt_carries_no_gradients(tiny_llama: BaseModel, store: AbstractStore) -> None:
    hits = [hit(store, NodeId(1, 1, 0), is_text=is_text) for is_text in (True, False)]
    assert not prompt_embeddings(tiny_llama, store, hits, QUESTION).requires_grad


# The stream


def say(model: BaseModel, monkeypatch: pytest.MonkeyPatch, ids: Sequence[int]) -> None:
    """Make the model generate these tokens, whatever it reads."""
    waiting = iter(ids)

    def step(x_BTD: Tensor, cache: Any) -> tuple[Tensor, Any]:
        logits_V = torch.zeros(300)
        logits_V[next(waiting)] = 1.0
        return logits_V, None

    monkeypatch.setattr(model, "step", step)


def pieces_of(model: BaseModel, max_new_tokens: int = 40) -> list[str]:
    return list(stream_answer(model, embed(model, "x"), max_new_tokens))


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_the_stream_is_what_the_model_generates(tiny_llama: BaseModel, temperature: float) -> None:
    for seed in range(8):
        prompt_TD = embed(tiny_llama, f"Question {seed}: what?\nAnswer:")
        pieces = list(stream_answer(tiny_llama, prompt_TD, 24, temperature, seed))
        assert tiny_llama.end_id is not None
        stop_ids = [tiny_llama.end_id]
        ids = generated_ids(tiny_llama, prompt_TD, 24, stop_ids, temperature, seed)
        line = tiny_llama.decode(ids).lstrip().partition("\n")[0]
        assert "".join(pieces) == (
            line if "\n" in tiny_llama.decode(ids).lstrip() else line.rstrip("�")
        )
        assert all(pieces)


def test_characters_are_not_cut(tiny_llama: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "né 世界 🌍🌍!"
    ids = tiny_llama.encode(text).ids
    assert len(ids) > len(text)
    say(tiny_llama, monkeypatch, ids)
    pieces = pieces_of(tiny_llama, len(ids))
    assert "".join(pieces) == text
    assert "�" not in "".join(pieces)
    assert "世" in pieces
    assert "🌍" in pieces


def test_half_a_character_at_the_end_is_not_shown(
    tiny_llama: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = tiny_llama.encode("ok 🌍").ids
    say(tiny_llama, monkeypatch, ids)
    assert "".join(pieces_of(tiny_llama, len(ids) - 1)) == "ok "


def test_the_answer_ends_with_its_line(
    tiny_llama: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(tiny_llama, monkeypatch, tiny_llama.encode("\n one two\nthree").ids)
    assert "".join(pieces_of(tiny_llama)) == "one two"


def test_the_answer_ends_with_the_end_token(
    tiny_llama: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tiny_llama.end_id is not None
    one, two = tiny_llama.encode("one").ids, tiny_llama.encode("two").ids
    say(tiny_llama, monkeypatch, [*one, tiny_llama.end_id, *two])
    assert "".join(pieces_of(tiny_llama)) == "one"


def test_the_stream_tells_how_likely_its_tokens_were(tiny_llama: BaseModel) -> None:
    prompt_TD = embed(tiny_llama, "Question: what?\nAnswer:")
    chosen = list(tiny_llama.generate(prompt_TD, 6))
    stream = stream_answer(tiny_llama, prompt_TD, 6)
    assert (stream.log_probabilities, stream.unknown_log_probability) == ([], -math.inf)
    list(stream)
    count = len(stream.log_probabilities)
    assert 0 < count <= 6
    expected = [float(token.log_probabilities_V[token.token_id]) for token in chosen[:count]]
    assert stream.log_probabilities == pytest.approx(expected)


@pytest.mark.parametrize("text", [" not found", " nothing", " no", "xyz"])
def test_the_stream_tells_how_likely_it_was_to_say_unknown(
    tiny_llama: BaseModel, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    ids, unknown_ids = (tiny_llama.encode(each).ids for each in (text, f" {UNKNOWN_ANSWER}"))
    say(tiny_llama, monkeypatch, ids)
    stream = stream_answer(tiny_llama, embed(tiny_llama, "x"), len(ids))
    list(stream)
    same = 0
    while same < len(ids) and ids[same] == unknown_ids[same]:
        same += 1
    likely, unlikely = (1 / (math.e + 299) * math.exp(score) for score in (1, 0))
    expected = same * math.log(likely) + (math.log(unlikely) if same < len(ids) else 0)
    assert stream.unknown_log_probability == pytest.approx(expected)


def test_a_prompt_without_room_for_the_answer_is_refused_at_once(tiny_llama: BaseModel) -> None:
    prompt_TD = embed(tiny_llama, "x" * 500)
    with pytest.raises(ConfigError, match="lower the budget or max_new_tokens"):
        stream_answer(tiny_llama, prompt_TD, 24)
