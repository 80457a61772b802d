"""Keys: who may do what, on the command line and over HTTP."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import failure, output, run, values
from lmos.model.base import BaseModel
from lmos.session import Session
from serving import TEXT, Served, error_of, served

ASK = {"question": "What does the lock open with?", "max_new_tokens": 2}


@pytest.fixture(scope="module")
def server(tiny_llama: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("stores")
    for name in ("mine", "yours"):
        with Session.create(folder / f"{name}.lmos", tiny_llama) as session:
            session.add(f"diary of {name}", TEXT)
    keys = tmp_path_factory.mktemp("keys") / "keys.json"
    output("keys", "add", keys, "--store", "other")
    with served(folder, tiny_llama, keys=keys) as server:
        yield server


def test_the_file_keeps_no_key_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    key = output("keys", "add", file, "--store", "life", "--write").strip()
    other = values("keys", "add", file, "--all")
    assert key.rpartition("-")[2] not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    listed = values("keys", "list", file)
    assert [(each["store"], each["can_write"]) for each in listed] == [("life", True), ("*", False)]
    shown = output("keys", "list", file)
    assert "reads and writes life" in shown
    assert "reads every store" in shown
    run("keys", "remove", file, other["id"])
    assert [each["id"] for each in values("keys", "list", file)] == [key.split("-")[1]]
    assert len(json.loads(file.read_text())["keys"]) == 1


def test_mistakes_with_keys_are_told(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    assert "lmos keys add" in failure("keys", "list", file)
    failure("keys", "add", file, code=2)
    failure("keys", "add", file, "--store", "a", "--all", code=2)
    assert "no name of a store" in failure("keys", "add", file, "--store", "../a")
    assert not file.exists()
    file.write_text("{}")
    assert "expected a file that lmos keys wrote" in failure("keys", "add", file, "--all")
    assert file.read_text() == "{}"
    output("keys", "add", tmp_path / "good.json", "--all")
    assert "has no key 'x'" in failure("keys", "remove", tmp_path / "good.json", "x")


def test_without_a_key_nothing_is_told(server: Served) -> None:
    good = server.key("mine")
    wrong = (None, "x", "lmos-", good[:-1], good.replace("lmos-", "lmos-0"), good + "é")
    for key in wrong:
        headers = {} if key is None else {"Authorization": f"Bearer {key}".encode()}
        with server.client() as client:
            for path in ("/stores", "/stores/mine", "/v1/models", "/metrics"):
                reply = client.get(path, headers=headers)  # type: ignore[arg-type]
                assert error_of(reply, 401)["type"] == "authentication_error"
                assert reply.headers["www-authenticate"] == "Bearer"
            asked = client.post("/stores/mine/ask", json=ASK, headers=headers)  # type: ignore[arg-type]
            error_of(asked, 401)
            assert client.get("/healthz").status_code == 200


def test_a_key_opens_its_store_alone(server: Served) -> None:
    with server.client(server.key("mine", can_write=True)) as client:
        assert client.get("/stores").json() == {"stores": ["mine"]}
        assert client.get("/stores/mine").status_code == 200
        ids = [each["id"] for each in client.get("/v1/models").json()["data"]]
        assert "yours" not in ids
        refusals = [
            # Of a store that is there, and of one that is not: in the same words.
            [
                client.get(f"/stores/{name}"),
                client.get(f"/stores/{name}/sources"),
                client.get(f"/stores/{name}/text", params={"source": f"diary of {name}"}),
                client.get(f"/stores/{name}/tree", params={"source": f"diary of {name}"}),
                client.get(f"/stores/{name}/export"),
                client.post(f"/stores/{name}/ask", json=ASK),
                client.post(f"/stores/{name}/sources", json={"name": "a", "text": "b"}),
                client.delete(f"/stores/{name}"),
                client.post(f"/v1/vector_stores/{name}/search", json={"query": "lock"}),
                client.post("/v1/responses", json={"input": "Who?", "user": name}),
                client.post("/stores", json={"name": name}),
            ]
            for name in ("yours", "absent")
        ]
        for there, absent in zip(*refusals, strict=True):
            error = error_of(there, 403)
            assert error["code"] == "wrong_store"
            assert error == {**error_of(absent, 403), "message": error["message"]}
            assert there.text.replace("yours", "absent") == absent.text
        header = {"X-Lmos-Store": "yours"}
        talk = {"messages": [{"role": "user", "content": "Who?"}], "user": "mine"}
        error_of(client.post("/v1/chat/completions", json=talk, headers=header), 403)
        # Its own store need not be named.
        del talk["user"]
        told = client.post("/v1/chat/completions", json={**talk, "max_tokens": 2}).json()
        assert told["lmos"]["store"] == "mine"
        assert {each["source"] for each in told["lmos"]["citations"]} == {"diary of mine"}


def test_ids_of_another_store_lead_nowhere(server: Served) -> None:
    with (
        server.client(server.key("mine")) as mine,
        server.client(server.key("yours")) as yours,
    ):
        first = yours.post("/v1/responses", json={"input": "Who?", "max_output_tokens": 2}).json()
        body = {"input": "And?", "previous_response_id": first["id"]}
        assert error_of(mine.post("/v1/responses", json=body), 404)
        assert yours.post("/v1/responses", json=body).status_code == 200
        place = {"source": "diary of yours"}
        assert error_of(mine.get("/stores/mine/text", params=place), 404)


def test_a_key_that_reads_does_not_write(server: Served) -> None:
    with server.client(server.key("mine")) as client:
        for refused in (
            client.post("/stores/mine/sources", json={"name": "a", "text": "b"}),
            client.post("/stores/mine/sources/append", json={"name": "a", "text": "b"}),
            client.post("/stores/mine/files", files={"file": ("a", b"b")}),
            client.delete("/stores/mine/sources", params={"name": "diary of mine"}),
            client.delete("/stores/mine"),
            client.post("/stores", json={"name": "mine"}),
        ):
            assert error_of(refused, 403)["code"] == "read_only"
        assert client.get("/stores/mine/sources").json()["total"] == 1


def test_a_key_counts_from_when_it_is_made_until_it_is_taken_back(server: Served) -> None:
    key = server.key("*", can_write=True)
    with server.client(key) as client:
        assert client.get("/stores").json() == {"stores": ["mine", "yours"]}
        assert server.config.keys is not None
        run("keys", "remove", server.config.keys, key.split("-")[1])
        error_of(client.get("/stores"), 401)
        kept = server.config.keys.read_text()
        server.config.keys.write_text("damaged")
        assert error_of(client.get("/stores"), 503)["code"] == "no_keys"
        server.config.keys.write_text(kept)
        error_of(client.get("/stores"), 401)
