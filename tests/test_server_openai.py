"""OpenAI's own client against a real server: what it calls works, and what it reads is there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openai
import pytest
from openai import OpenAI
from openai.types.responses import ResponseOutputMessage, ResponseOutputText

from lmos.errors import ConfigError
from lmos.model.base import BaseModel
from lmos.model.prompts import UNKNOWN_ANSWER
from lmos.server.asking import _may_be_unknown
from lmos.server.openai.embeddings import question_keys, text_keys
from lmos.server.settings import ServerConfig
from lmos.session import Session
from serving import TEXT, Served, served, wait_until

QUESTION = "What does the lock open with?"


@pytest.fixture(scope="module")
def server(endless_llama: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("stores")
    with Session.create(folder / "life.lmos", endless_llama) as session:
        session.add("notes/diary", TEXT, time=5.0, metadata={"by": "Greta", "year": "2024"})
        session.add("menu", "Le café ferme à midi. 世界 🌍", metadata={"by": "Hugo"})
    Session.create(folder / "empty.lmos", endless_llama).close()
    with served(folder, endless_llama) as server:
        yield server


@pytest.fixture
def client(server: Served) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_models_are_the_model_and_the_stores(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["llama", "empty", "life"]
    assert client.models.retrieve("life").owned_by == "lmos"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nothing")


def test_a_chat_is_answered_with_citations(client: OpenAI, server: Served) -> None:
    completion = client.chat.completions.create(
        model="life", messages=[{"role": "user", "content": QUESTION}], max_tokens=16
    )
    (choice,) = completion.choices
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason == "length"
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 16
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + 16
    told = completion.to_dict()["lmos"]
    assert told["store"] == "life"  # type: ignore[index]
    assert told["is_found"]  # type: ignore[index]
    assert not told["is_calibrated"]  # type: ignore[index]
    assert choice.message.annotations
    citation = choice.message.annotations[0].url_citation
    assert citation.title in ("notes/diary", "menu")
    assert citation.url.startswith(f"{server.url}/stores/life/text?source=")
    assert (citation.start_index, citation.end_index) == (0, len(choice.message.content))
    with server.client() as plain:
        assert plain.get(citation.url).json()["text"]


def test_a_streamed_chat_says_the_same_and_cuts_no_character(client: OpenAI) -> None:
    talk: list[openai.types.chat.ChatCompletionMessageParam] = [
        {"role": "user", "content": "Où est le café? 世界"}
    ]
    whole = client.chat.completions.create(model="life", messages=talk, max_tokens=40)
    chunks = list(
        client.chat.completions.create(
            model="life",
            messages=talk,
            max_tokens=40,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == whole.choices[0].message.content
    assert len([piece for piece in pieces if piece]) > 1
    assert chunks[-1].usage == whole.usage
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert chunks[-2].to_dict()["lmos"] == whole.to_dict()["lmos"]


def test_where_nothing_is_found_the_answer_says_so(client: OpenAI) -> None:
    talk: list[openai.types.chat.ChatCompletionMessageParam] = [
        {"role": "user", "content": QUESTION}
    ]
    completion = client.chat.completions.create(model="empty", messages=talk)
    assert completion.choices[0].message.content == (
        "Nothing was found: the store is empty: add text with lmos add."
    )
    assert completion.choices[0].message.annotations == []
    about = completion.to_dict()
    assert about["metadata"]["lmos_is_found"] == "false"  # type: ignore[index]
    assert about["lmos"]["reason"]  # type: ignore[index]
    response = client.responses.create(model="empty", input=QUESTION)
    assert response.output_text == completion.choices[0].message.content
    assert response.metadata is not None
    assert response.metadata["lmos_is_found"] == "false"


def test_a_guess_is_said_to_be_one(
    client: OpenAI, tiny_llama: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmos.reading.answers.confidence_of", lambda *_: -1.0)
    talk: list[openai.types.chat.ChatCompletionMessageParam] = [
        {"role": "user", "content": QUESTION}
    ]
    completion = client.chat.completions.create(model="life", messages=talk, max_tokens=8)
    text = completion.choices[0].message.content
    assert text is not None
    assert text.endswith(
        "(Nothing was found that answers this for sure; that is a guess, -100% sure.)"
    )
    assert completion.choices[0].message.annotations == []


def test_the_words_for_not_found_are_held_back() -> None:
    assert all(_may_be_unknown(UNKNOWN_ANSWER[:end]) for end in range(len(UNKNOWN_ANSWER) + 1))
    assert _may_be_unknown(f" {UNKNOWN_ANSWER.upper()}.\n")
    assert not _may_be_unknown("Norwich")
    assert not _may_be_unknown(f"{UNKNOWN_ANSWER} in Norwich")


def test_earlier_messages_become_turns(client: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, tuple[tuple[str, str], ...]]] = []
    ask = Session.ask

    def listening(session: Session, question: str, *args: object, **options: object) -> object:
        asked.append((question, tuple(options["turns"])))  # type: ignore[arg-type]
        return ask(session, question, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Session, "ask", listening)
    completion = client.chat.completions.create(
        model="life",
        messages=[
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Who has a bicycle?"},
            {"role": "assistant", "content": "Greta"},
            {"role": "user", "content": [{"type": "text", "text": "And the lock?"}]},
        ],
        max_tokens=2,
    )
    first = client.responses.create(model="life", input="Who has a bicycle?", max_output_tokens=16)
    client.responses.create(
        model="life", input="And the lock?", previous_response_id=first.id, max_output_tokens=2
    )
    assert asked[0] == ("And the lock?", (("Who has a bicycle?", "Greta"),))
    assert completion.to_dict()["lmos"]["ignored"] == ["system"]  # type: ignore[index]
    ((question, answer),) = asked[2][1]
    assert question == "Who has a bicycle?"
    assert answer
    with pytest.raises(openai.NotFoundError) as told:
        client.responses.create(model="empty", input="And?", previous_response_id=first.id)
    assert told.value.code == "previous_response_not_found"


def test_a_response_is_answered_with_citations(client: OpenAI) -> None:
    response = client.responses.create(
        model="life", input=[{"role": "user", "content": QUESTION}], max_output_tokens=16
    )
    assert response.status == "incomplete"
    (message,) = response.output
    assert isinstance(message, ResponseOutputMessage)
    (part,) = message.content
    assert isinstance(part, ResponseOutputText)
    assert part.text == response.output_text
    citation = part.annotations[0]
    assert citation.type == "file_citation"
    assert citation.filename in ("notes/diary", "menu")
    assert citation.file_id in ("file-1", "file-2")
    assert response.usage is not None
    assert response.usage.output_tokens == 16


def test_a_streamed_response_says_the_same(client: OpenAI) -> None:
    whole = client.responses.create(model="life", input=QUESTION, max_output_tokens=24)
    with client.responses.stream(model="life", input=QUESTION, max_output_tokens=24) as stream:
        events = list(stream)
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == whole.output_text
    numbers = [event.sequence_number for event in events]
    assert numbers == sorted(numbers)
    last = events[-1]
    assert last.type == "response.incomplete"
    assert last.response.usage == whole.usage


def test_a_search_finds_passages_of_some_sources(client: OpenAI) -> None:
    found = client.vector_stores.search("life", query="bicycle lock", max_num_results=3).data
    assert 0 < len(found) <= 3
    assert found[0].score == 1.0
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    assert found[0].content[0].text in TEXT + "Le café ferme à midi. 世界 🌍"
    rows: list[tuple[object, set[str]]] = [
        ({"type": "eq", "key": "by", "value": "Hugo"}, {"menu"}),
        ({"type": "ne", "key": "by", "value": "Hugo"}, {"notes/diary"}),
        ({"type": "gte", "key": "year", "value": 2024}, {"notes/diary"}),
        ({"type": "lt", "key": "year", "value": 2024}, set()),
        ({"type": "in", "key": "filename", "value": ["menu", "no"]}, {"menu"}),
        ({"type": "eq", "key": "by", "value": "nobody"}, set()),
    ]
    both = {"type": "or", "filters": [rows[0][0], rows[1][0]]}
    neither = {"type": "and", "filters": [rows[0][0], both, rows[3][0]]}
    rows.append((neither, set()))
    for filters, names in rows:
        page = client.vector_stores.search("life", query=QUESTION, filters=filters)  # type: ignore[arg-type]
        assert {each.filename for each in page.data} == names, filters
    # A random model may find no weight at all in one of them.
    page = client.vector_stores.search("life", query=QUESTION, filters=both)  # type: ignore[arg-type]
    assert page.data
    only_best = client.vector_stores.search(
        "life", query=["bicycle", "café"], ranking_options={"score_threshold": 1.0}
    )
    assert {each.score for each in only_best.data} == {1.0}
    wrong = {"type": "in", "key": "by", "value": "Hugo"}
    with pytest.raises(openai.BadRequestError):
        client.vector_stores.search("life", query=QUESTION, filters=wrong)  # type: ignore[arg-type]


def test_embeddings_are_what_a_store_keeps_and_compares(
    client: OpenAI, server: Served, tiny_llama: BaseModel
) -> None:
    texts = ["The dog sleeps.", "One fox. " * 300]
    keys = client.embeddings.create(model="any", input=texts)
    numbers = np.array([each.embedding for each in keys.data])
    ids = [tiny_llama.encode(text.strip()).ids for text in texts]
    np.testing.assert_allclose(numbers, text_keys(tiny_llama, ids).numpy(), rtol=1e-5)
    assert keys.usage.prompt_tokens == sum(map(len, ids))
    with server.client() as plain:
        plain.post("/stores", json={"name": "one"})
        plain.post("/stores/one/sources", json={"name": "a", "text": texts[0]})
    with Session.open(server.config.folder / "one.lmos", tiny_llama, read_only=True) as session:
        stored = session.store.keys(session.store.root_ids()).float().numpy()
    np.testing.assert_allclose(numbers[:1], stored, atol=0.02)
    asked = client.embeddings.create(
        model="any",
        input="Who sleeps?",
        encoding_format="float",
        extra_body={"input_type": "query"},
    )
    expected = question_keys(tiny_llama, [tiny_llama.encode("Who sleeps?").ids])
    np.testing.assert_allclose(asked.data[0].embedding, expected[0].numpy(), rtol=1e-5)
    for wrong in ({"input": ""}, {"input": "fox", "dimensions": 3}):
        with pytest.raises(openai.BadRequestError):
            client.embeddings.create(model="any", **wrong)


def test_a_client_that_leaves_stops_the_generation(
    client: OpenAI, server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = 0
    step = BaseModel.step

    def counting(model: BaseModel, *arguments: object) -> object:
        nonlocal said
        said += 1
        # Long enough that a server that goes on is noticed.
        time.sleep(0.02)
        return step(model, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(BaseModel, "step", counting)
    stream = client.chat.completions.create(
        model="life", messages=[{"role": "user", "content": QUESTION}], max_tokens=120, stream=True
    )
    for number, _ in enumerate(stream):
        if number == 3:
            break
    stream.close()
    wait_until(lambda: server.serving.answering.num_inside == 0)
    assert said < 100


def test_the_store_is_named_by_header_user_or_model(client: OpenAI) -> None:
    talk: list[openai.types.chat.ChatCompletionMessageParam] = [
        {"role": "user", "content": QUESTION}
    ]

    def store(**options: object) -> object:
        body = {"model": "gpt", "messages": talk, "max_tokens": 2, **options}
        completion = client.chat.completions.create(**body)  # type: ignore[call-overload]
        return completion.to_dict()["lmos"]["store"]

    header = {"X-Lmos-Store": "life"}
    assert store(extra_headers=header, user="empty", model="empty") == "life"
    assert store(user="life", model="empty") == "life"
    assert store(model="life") == "life"
    with pytest.raises(openai.BadRequestError) as told:
        store()
    assert told.value.code == "no_store_named"
    with pytest.raises(openai.NotFoundError) as missing:
        store(user="nobody")
    assert missing.value.code == "store_not_found"


@pytest.mark.parametrize(
    "options",
    [
        {"n": 2},
        {"tool_choice": "required"},
        {"response_format": {"type": "json_object"}},
        {"messages": [{"role": "assistant", "content": "Yes."}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        {"messages": []},
        {"max_tokens": 0},
    ],
)
def test_what_cannot_be_done_is_refused(client: OpenAI, options: dict[str, object]) -> None:
    body = {"model": "life", "messages": [{"role": "user", "content": QUESTION}], **options}
    with pytest.raises(openai.BadRequestError) as told:
        client.chat.completions.create(**body)  # type: ignore[call-overload]
    assert told.value.type == "invalid_request_error"


def test_a_server_may_answer_without_the_store(tiny_llama: BaseModel, tmp_path: Path) -> None:
    with served(tmp_path, tiny_llama, when="never") as server, server.client() as client:
        client.post("/stores", json={"name": "life"}).raise_for_status()
        body = {"model": "life", "max_tokens": 6, "messages": [{"role": "user", "content": "Hi"}]}
        reply = client.post("/v1/chat/completions", json=body).json()
        said = reply["choices"][0]["message"]
        assert said["content"]
        assert "Nothing was found" not in said["content"]
        assert said["annotations"] == reply["lmos"]["citations"] == []
    with pytest.raises(ConfigError, match="when: expected one of"):
        ServerConfig(tmp_path, when="sometimes")
