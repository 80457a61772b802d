"""REST over HTTP: what a client can do with stores, and what happens when it asks for too much."""

from __future__ import annotations

import json
import logging
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest

from conftest import new_llama
from lmos.documents.base import Document, Reading
from lmos.errors import ConfigError
from lmos.model.base import BaseModel
from lmos.server.running import require_private
from lmos.server.settings import ServerConfig
from lmos.session import Session
from lmos.store.archive import read_archive
from lmos.store.sqlite import SQLiteStore
from serving import PATIENCE_SECONDS, TEXT, Served, error_of, served, wait_until

QUESTION = "What does the lock open with?"


@pytest.fixture(scope="module")
def server(endless_llama: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with (
        served(tmp_path_factory.mktemp("stores"), endless_llama) as server,
        server.client() as client,
    ):
        client.post("/stores", json={"name": "life"}).raise_for_status()
        body = {"name": "notes/diary", "text": TEXT, "time": 5.0, "metadata": {"by": "Greta"}}
        client.post("/stores/life/sources", json=body).raise_for_status()
        yield server


@pytest.fixture
def client(server: Served) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def test_a_store_lives_from_its_making_to_its_end(client: httpx.Client, server: Served) -> None:
    made = client.post("/stores", json={"name": "short", "max_bytes": 10**9})
    assert made.status_code == 201
    assert made.json()["max_bytes"] == 10**9
    assert error_of(client.post("/stores", json={"name": "short"}), 409)["code"] == "store_exists"
    assert client.get("/stores").json() == {"stores": ["life", "short"]}
    added = client.post("/stores/short/sources", json={"name": "a", "text": "One fox."}).json()
    assert (added["name"], added["num_bytes"]) == ("a", 8)
    more = {"name": "a", "text": "Two dogs."}
    assert client.post("/stores/short/sources/append", json=more).json()["num_bytes"] == 18
    text = client.get("/stores/short/text", params={"source": "a"}).json()
    assert text == {"source": "a", "start_byte": 0, "end_byte": 18, "text": "One fox.\nTwo dogs."}
    client.delete("/stores/short/sources", params={"name": "a"}).raise_for_status()
    assert client.get("/stores/short/sources").json()["total"] == 0
    assert client.delete("/stores/short").json() == {"deleted": "short"}
    assert error_of(client.get("/stores/short"), 404)["code"] == "store_not_found"
    assert not list(server.config.folder.glob("short*"))


def test_it_tells_what_a_store_holds(client: httpx.Client) -> None:
    status = client.get("/stores/life").json()
    assert (status["sources"], status["text_bytes"]) == (1, len(TEXT.encode()))
    page = client.get("/stores/life/sources", params={"limit": 1}).json()
    (source,) = page["sources"]
    assert (source["name"], source["metadata"]) == ("notes/diary", {"by": "Greta"})
    assert (page["total"], page["next_after"]) == (1, None)
    assert client.post("/stores/life/verify", params={"deep": 2}).json() == {
        "ok": True,
        "faults": [],
    }


def test_sources_come_in_pages(client: httpx.Client) -> None:
    client.post("/stores", json={"name": "pages"})
    for name in "abc":
        client.post("/stores/pages/sources", json={"name": name, "text": f"Text {name}."})
    names, after = [], 0
    while after is not None:
        page = client.get("/stores/pages/sources", params={"after": after, "limit": 2}).json()
        names += [source["name"] for source in page["sources"]]
        after = page["next_after"]
    assert names == ["a", "b", "c"]
    client.delete("/stores/pages")


def test_citations_are_exact_bytes_and_lead_to_their_text(client: httpx.Client) -> None:
    body = {"question": QUESTION, "max_new_tokens": 8}
    answer = client.post("/stores/life/ask", json=body).json()
    assert answer["usage"]["completion_tokens"] <= 8
    assert answer["usage"]["prompt_tokens"] > 0
    assert answer["citations"]
    for citation in answer["citations"]:
        start, stop = citation["start_byte"], citation["end_byte"]
        assert TEXT.encode()[start:stop].decode() == citation["text"]
        place: dict[str, Any] = {
            "source": citation["source"],
            "start_byte": start,
            "end_byte": stop,
        }
        assert client.get("/stores/life/text", params=place).json()["text"] == citation["text"]


def test_a_stretch_of_text_never_cuts_a_character(client: httpx.Client) -> None:
    client.post("/stores", json={"name": "marks"})
    client.post("/stores/marks/sources", json={"name": "a", "text": "世界🌍"})
    for start, stop in ((0, 4), (1, 9), (2, 3), (3, 6), (5, 10), (7, 9), (8, 8), (10, 99)):
        place: dict[str, Any] = {"source": "a", "start_byte": start, "end_byte": stop}
        found = client.get("/stores/marks/text", params=place).json()
        told = "世界🌍".encode()[found["start_byte"] : found["end_byte"]]
        assert told.decode() == found["text"]
    client.delete("/stores/marks")


def test_a_walk_can_be_drawn_on_the_tree(client: httpx.Client) -> None:
    body = {"question": QUESTION, "explain": True, "max_kept": 3}
    found = client.post("/stores/life/retrieve", json=body).json()
    tree = client.get("/stores/life/tree", params={"source": "notes/diary"}).json()
    levels = {level["level"]: level for level in tree["levels"]}
    assert [level["level"] for level in tree["levels"]] == [3, 2, 1]
    assert [len(levels[level]["nodes"]) for level in (1, 2, 3)] == tree["source"]["level_counts"]
    assert levels[1]["nodes"][-1]["end_byte"] == len(TEXT.encode())
    kept = [node for level in found["walk"] for node in level["kept"]]
    assert any(node["is_on_path"] for node in kept)
    for node in kept:
        drawn = levels[node["level"]]["nodes"][node["index"]]
        assert drawn == {name: node[name] for name in drawn}
    assert all(len(level["kept"]) <= 3 for level in found["walk"])
    part: dict[str, Any] = {"source": "notes/diary", "level": 1, "start": 1, "limit": 2}
    (level,) = client.get("/stores/life/tree", params=part).json()["levels"]
    assert [node["index"] for node in level["nodes"]] == [1, 2]


def test_an_answer_streams_and_ends_as_the_whole_one(client: httpx.Client) -> None:
    body = {"question": QUESTION, "max_new_tokens": 24}
    whole = client.post("/stores/life/ask", json=body).json()
    streamed = client.post("/stores/life/ask", json={**body, "stream": True})
    assert streamed.headers["content-type"].startswith("text/event-stream")
    events = [block.split("\n") for block in streamed.text.strip().split("\n\n")]
    told = [(head.removeprefix("event: "), json.loads(data[6:])) for head, data in events]
    assert told[0][0] == "passages"
    assert "".join(data["text"] for name, data in told if name == "text").strip() == whole["answer"]
    name, last = told[-1]
    assert name == "answer"
    assert {**last, "timing": 0} == {**whole, "timing": 0}


def test_many_who_ask_at_once_get_what_each_would_get_alone(client: httpx.Client) -> None:
    bodies = [
        {"question": question, "max_new_tokens": count, "stream": True}
        for question, count in [
            (QUESTION, 24),
            ("Who sleeps on the mat?", 9),
            ("Who?", 3),
            ("What does Greta keep, and what is its colour?", 17),
        ]
    ]
    wrong = {"question": "What? " * 400, "stream": True}

    def ask(body: dict[str, Any]) -> tuple[list[str], float]:
        reply = client.post("/stores/life/ask", json=body)
        if body is wrong:
            assert error_of(reply, 400)["code"] == "bad_question"
            return [], 0.0
        told = [json.loads(line[6:]) for line in reply.text.split("\n") if line[:6] == "data: "]
        return [each["text"] for each in told[1:-1]], told[-1]["confidence"]

    alone = [*map(ask, bodies), ([], 0.0)]
    assert all(pieces for pieces, _ in alone[:4])
    with ThreadPoolExecutor(15) as threads:
        replies = list(threads.map(ask, [*bodies, wrong] * 3))
    for (pieces, confidence), (expected, how_sure) in zip(replies, alone * 3, strict=True):
        assert pieces == expected
        assert confidence == pytest.approx(how_sure, abs=1e-4)


def test_filters_limit_what_is_found_and_say_why_nothing_is(client: httpx.Client) -> None:
    body = {"question": QUESTION, "search": {"where": {"by": "Hugo"}}}
    answer = client.post("/stores/life/ask", json=body).json()
    assert not answer["is_found"]
    assert answer["is_calibrated"] is False
    assert answer["reason"] == "no source matches --where by=Hugo"
    assert answer["citations"] == []


def test_a_file_is_added_and_one_that_is_no_text_is_refused(client: httpx.Client) -> None:
    client.post("/stores", json={"name": "files"})
    sent = {"file": ("../../etc/café.txt", "Le café ferme à midi.".encode())}
    added = client.post("/stores/files/files", files=sent)
    (source,) = added.json()["sources"]
    assert source["num_bytes"] == len("Le café ferme à midi.".encode())
    named = client.post("/stores/files/files", files=sent, data={"name": "menu"}).json()
    assert named["sources"][0]["name"] == "menu"
    for data, why in ((b"\x89PNG\0", "expected plain text"), (b" \n", "white space")):
        refused = client.post("/stores/files/files", files={"file": ("a.txt", data)})
        assert why in error_of(refused, 400)["message"]
    assert client.get("/stores/files/sources").json()["total"] == 2
    client.delete("/stores/files")


def test_a_document_is_read_and_cited_by_its_place(client: httpx.Client) -> None:
    client.post("/stores", json={"name": "pages"})
    page = "<html><body><h1>Boats</h1><p>The ferry leaves at noon.</p></body></html>"
    sent = {"file": ("boats.html", page.encode())}
    (source,) = client.post("/stores/pages/files", files=sent).json()["sources"]
    assert source["name"] == "boats.html"
    text = client.get("/stores/pages/text", params={"source": "boats.html"}).json()["text"]
    assert "The ferry leaves at noon." in text
    assert "<p>" not in text
    table = {"file": ("boats.csv", b"boat,port\nAda,Bergen\nEva,Turku\n")}
    client.post("/stores/pages/files", files=table).raise_for_status()
    found = client.post("/stores/pages/retrieve", json={"question": "Turku?"}).json()["passages"]
    places = {passage["place"] for passage in found if passage["source"] == "boats.csv"}
    assert places & {"row 2", "row 3"}
    client.delete("/stores/pages")


def test_a_broken_document_is_refused_in_words(client: httpx.Client, server: Served) -> None:
    client.post("/stores", json={"name": "broken"})
    bomb = BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        size = 8 * server.config.max_body_bytes + 1
        archive.writestr("word/document.xml", b"\0" * size)
    for name, data, why in (
        ("a.pdf", b"%PDF-1.7\nno more", "a.pdf: expected a PDF document, got a broken one"),
        ("a.docx", b"PK\3\4no more", "got a broken archive"),
        ("bomb.docx", bomb.getvalue(), "unpacks to"),
    ):
        refused = client.post("/stores/broken/files", files={"file": (name, data)})
        error = error_of(refused, 400)
        assert error["code"] == "bad_text"
        assert why in error["message"]
    assert client.get("/stores/broken/sources").json()["total"] == 0
    client.delete("/stores/broken")


def test_an_export_is_the_store_as_one_commit_left_it(
    client: httpx.Client, server: Served, tmp_path: Path
) -> None:
    reply = client.get("/stores/life/export")
    assert reply.headers["content-type"] == "application/zip"
    assert zipfile.ZipFile(BytesIO(reply.content)).testzip() is None
    (tmp_path / "life.zip").write_bytes(reply.content)
    with SQLiteStore.open(server.config.folder / "life.lmos", read_only=True) as store:
        manifest = store.manifest
    with SQLiteStore.create(tmp_path / "copy.lmos", manifest) as copy:
        assert read_archive(tmp_path / "life.zip", copy) == 1
        assert copy.text(copy.source("notes/diary").source_id).decode() == TEXT


def test_what_the_command_line_adds_is_found_at_once(
    client: httpx.Client, server: Served, tiny_llama: BaseModel
) -> None:
    client.post("/stores", json={"name": "shared"})
    with Session.open(server.config.folder / "shared.lmos", tiny_llama) as session:
        session.add("elsewhere", "The piano is out of tune.")
    found = client.post("/stores/shared/retrieve", json={"question": "piano?"}).json()
    assert found["passages"][0]["source"] == "elsewhere"
    client.delete("/stores/shared")


# What is refused


@pytest.mark.parametrize("name", ["..", "../life", "a/b", "/etc/passwd", ".hidden", "a\n", "", "é"])
def test_a_name_cannot_lead_out_of_the_folder(client: httpx.Client, name: str) -> None:
    error_of(client.post("/stores", json={"name": name}), 400)
    body = {"messages": [{"role": "user", "content": "Who?"}], "user": name or "\t"}
    assert error_of(client.post("/v1/chat/completions", json=body), 400)["code"] == "bad_option"


@pytest.mark.parametrize("path", ["/stores/..%2flife", "/stores/%2e%2e/life", "/stores/life%00"])
def test_a_path_cannot_lead_out_of_the_folder(client: httpx.Client, path: str) -> None:
    reply = client.get(path)
    error_of(reply, reply.status_code)
    assert reply.status_code in (400, 404)


def test_malformed_bodies_are_told_what_was_expected(client: httpx.Client) -> None:
    def send(content: bytes, kind: str = "application/json") -> httpx.Response:
        return client.post("/stores/life/ask", content=content, headers={"content-type": kind})

    assert error_of(send(b'{"question": '), 400)["code"] == "bad_json"
    assert error_of(send(b"\xff\xfe"), 400)
    assert error_of(send(b"[" * 100_000), 400)
    assert error_of(send(b'{"question": "\\ud800"}'), 400)
    assert error_of(send(b"{}"), 400)["param"] == "question"
    assert error_of(send(b'{"question": "Who?", "qestion": 1}'), 400)["param"] == "qestion"
    assert error_of(send(b'{"question": " "}'), 400)["code"] == "bad_question"
    assert (
        error_of(send(b'{"question": "' + b"who " * 4_000 + b'"}'), 400)["code"] == "bad_question"
    )
    secret = send(b'{"question": {"my secret": 1}}')
    error_of(secret, 400)
    assert "my secret" not in secret.text


def test_what_is_not_there_is_not_found(client: httpx.Client, server: Served) -> None:
    ask = {"question": "Who?"}
    assert error_of(client.post("/stores/no/ask", json=ask), 404)["code"] == "store_not_found"
    error_of(client.get("/nowhere"), 404)
    error_of(client.put("/stores"), 405)
    gone = client.delete("/stores/life/sources", params={"name": "no"})
    error = error_of(gone, 404)
    assert error["code"] == "source_not_found"
    assert str(server.config.folder) not in gone.text


def test_a_file_that_is_no_store_is_refused_without_its_path(
    client: httpx.Client, server: Served
) -> None:
    path = server.config.folder / "odd.lmos"
    path.write_text("not a store, but long enough to be looked at. " * 50)
    reply = client.get("/stores/odd")
    error = error_of(reply, 500)
    assert error["code"] == "store_corrupt"
    assert str(server.config.folder) not in reply.text
    path.unlink()


def test_pages_of_others_may_not_call_it(client: httpx.Client, server: Served) -> None:
    foreign = {"origin": "http://example.com"}
    assert error_of(client.get("/stores", headers=foreign), 403)["code"] == "wrong_origin"
    assert client.get("/stores", headers={"origin": server.url}).status_code == 200
    assert "access-control-allow-origin" not in client.get("/stores").headers


def test_without_keys_it_is_for_this_machine_alone(tmp_path: Path) -> None:
    config = ServerConfig(tmp_path)
    require_private(config, "127.0.0.1")
    require_private(config, "::1")
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.com"):
        with pytest.raises(ConfigError, match="--keys FILE"):
            require_private(config, host)


def test_limits_of_size_time_and_host(tiny_llama: BaseModel, tmp_path: Path) -> None:
    limits = {"max_body_bytes": 2_000, "receive_seconds": 0.2, "hosts": ("127.0.0.1",)}
    with served(tmp_path, tiny_llama, **limits) as server, server.client() as client:
        client.post("/stores", json={"name": "life"}).raise_for_status()
        large = {"name": "a", "text": "fox " * 1_000}
        assert error_of(client.post("/stores/life/sources", json=large), 413)["code"] == "too_large"
        upload = {"file": ("a.txt", b"fox " * 1_000)}
        error_of(client.post("/stores/life/files", files=upload), 413)

        def chunks() -> Iterator[bytes]:
            # Of no length that is told before.
            yield from [b'{"name": "a", "text": "', *[b"fox " * 250] * 4, b'"}']

        kind = {"content-type": "application/json"}
        streamed = client.post("/stores/life/sources", content=chunks(), headers=kind)
        error_of(streamed, 413)
        assert client.get("/stores/life/sources").json()["total"] == 0

        is_over = threading.Event()

        def slowly() -> Iterator[bytes]:
            yield b'{"name": '
            is_over.wait(1)
            yield b'"a", "text": "fox"}'

        slow = client.post("/stores/life/sources", content=slowly(), headers=kind)
        assert error_of(slow, 408)["code"] == "too_slow"
        other = client.get("/stores", headers={"host": "evil.example"})
        assert error_of(other, 403)["code"] == "wrong_host"


def test_a_store_of_another_model_is_refused(tokenizer_folder: Path, tmp_path: Path) -> None:
    model, other = new_llama(tokenizer_folder, 1), new_llama(tokenizer_folder, 2)
    Session.create(tmp_path / "other.lmos", other).close()
    with served(tmp_path, model) as server, server.client() as client:
        assert error_of(client.get("/stores/other"), 409)["code"] == "store_mismatch"


# Many at once


def test_only_so_many_stores_are_open(tiny_llama: BaseModel, tmp_path: Path) -> None:
    with served(tmp_path, tiny_llama, max_open=2) as server, server.client() as client:
        for name in "abcd":
            client.post("/stores", json={"name": name}).raise_for_status()
            client.post(f"/stores/{name}/sources", json={"name": name, "text": f"{name} fox."})
            assert server.serving.pool.num_open <= 2
        for name in "abcd":
            (source,) = client.get(f"/stores/{name}/sources").json()["sources"]
            assert source["name"] == name
        assert server.serving.pool.num_open == 2
    assert not list(tmp_path.glob("*-wal"))


def test_a_long_add_keeps_nobody_from_asking(tiny_llama: BaseModel, tmp_path: Path) -> None:
    with served(tmp_path, tiny_llama, max_waiting=1) as server, server.client() as client:
        client.post("/stores", json={"name": "life"})
        client.post("/stores/life/sources", json={"name": "a", "text": TEXT})
        release, has_begun = threading.Event(), threading.Event()
        read_file = server.config.read_file

        def slow_file(name: str, data: bytes, reading: Reading) -> tuple[list[Document], list[str]]:
            has_begun.set()
            assert release.wait(PATIENCE_SECONDS)
            return read_file(name, data, reading)

        object.__setattr__(server.config, "read_file", slow_file)
        replies: list[httpx.Response] = []

        def upload(name: str) -> None:
            with server.client() as other:
                files = {"file": (name, TEXT.encode())}
                replies.append(other.post("/stores/life/files", files=files))

        threads = [threading.Thread(target=upload, args=(name,)) for name in ("b", "c")]
        for thread in threads:
            thread.start()
        # One is being added, one waits: there is no room for a third.
        wait_until(lambda: has_begun.is_set() and server.serving.changing.num_inside == 2)
        found = client.post("/stores/life/retrieve", json={"question": QUESTION}).json()
        assert found["passages"]
        refused = client.post("/stores/life/sources", json={"name": "d", "text": "No room."})
        assert error_of(refused, 429)["type"] == "rate_limit_error"
        assert int(refused.headers["retry-after"]) >= 1
        release.set()
        for thread in threads:
            thread.join()
        assert [reply.status_code for reply in replies] == [200, 200]
        assert client.get("/stores/life/sources").json()["total"] == 3


def test_nothing_acknowledged_is_lost_when_it_stops(tiny_llama: BaseModel, tmp_path: Path) -> None:
    acknowledged: list[str] = []

    def append(server: Served, who: int) -> None:
        with server.client() as client:
            for number in range(200):
                line = f"Line {who}.{number}\n"
                body = {"name": f"diary {who}", "text": line}
                try:
                    reply = client.post("/stores/life/sources/append", json=body)
                except httpx.TransportError:
                    return
                if reply.status_code != 200:
                    return
                acknowledged.append(line)

    with served(tmp_path, tiny_llama) as server:
        with server.client() as client:
            client.post("/stores", json={"name": "life"}).raise_for_status()
        threads = [threading.Thread(target=append, args=(server, who)) for who in range(3)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(acknowledged) >= 12)
    for thread in threads:
        thread.join()
    with SQLiteStore.open(tmp_path / "life.lmos", read_only=True) as store:
        assert store.verify() == []
        kept = "".join(store.text(source.source_id).decode() for source in store.sources())
    assert [line for line in acknowledged if line not in kept] == []
    assert not list(tmp_path.glob("life.lmos-*"))


# What an operator sees


def test_health_numbers_and_a_log_without_texts(
    client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    assert client.get("/healthz").json()["status"] == "ok"
    with caplog.at_level(logging.INFO, logger="lmos.server"):
        body = {"question": "Where is the secret garden?", "max_new_tokens": 4}
        asked = client.post("/stores/life/ask", json=body)
        client.get("/stores/life/text", params={"source": "notes/diary"})
    lines = [json.loads(record.message) for record in caplog.records]
    # That of the first request is written when its reply is on the way.
    lines = [line for line in lines if line["route"] != "/healthz"]
    assert [line["route"] for line in lines] == ["/stores/{store}/ask", "/stores/{store}/text"]
    assert lines[0]["request"] == asked.headers["x-request-id"]
    assert (lines[0]["status"], lines[0]["store"]) == (200, "life")
    for text in ("secret", "garden", "diary", "lock"):
        assert text not in caplog.text
    numbers = client.get("/metrics").text
    assert 'lmos_requests_total{method="POST",route="/stores/{store}/ask",status="200"}' in numbers
    assert 'lmos_answers_total{outcome="' in numbers
    assert "lmos_open_stores " in numbers


def test_a_failure_that_nobody_expected_is_told_without_a_trace(
    tiny_llama: BaseModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: str, data: bytes, __: Reading) -> tuple[list[Document], list[str]]:
        raise RuntimeError(f"cannot read {data.decode()}")

    with (
        served(tmp_path, tiny_llama, read_file=broken) as server,
        server.client() as client,
        caplog.at_level(logging.ERROR, logger="lmos.server"),
    ):
        client.post("/stores", json={"name": "life"})
        reply = client.post("/stores/life/files", files={"file": ("a", b"a secret")})
    assert error_of(reply, 500)["code"] == "internal_error"
    assert "RuntimeError" in caplog.text
    assert "a secret" not in "".join(
        record.message for record in caplog.records if record.name == "lmos.server"
    )
