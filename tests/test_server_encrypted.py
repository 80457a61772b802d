"""Encrypted stores behind a server: with its key they open, without it they are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands import failure
from lmos.model.base import BaseModel
from lmos.session import Session
from lmos.store.keys import Key, is_encrypted
from serving import TEXT, error_of, served

KEY = Key(b"k" * 32)


@pytest.fixture
def folder(tiny_llama: BaseModel, tmp_path: Path) -> Path:
    """An encrypted store `secret` beside a plain one."""
    for name, key in (("secret", KEY), ("plain", None)):
        with Session.create(tmp_path / f"{name}.lmos", tiny_llama, key=key) as session:
            session.add("diary", TEXT)
    return tmp_path


def test_a_server_with_the_key_serves_encrypted_and_plain_stores(
    folder: Path, tiny_llama: BaseModel
) -> None:
    with served(folder, tiny_llama, store_key=KEY) as server, server.client() as client:
        for name in ("secret", "plain"):
            added = client.post(f"/stores/{name}/sources", json={"name": "a", "text": "One fox."})
            assert added.status_code == 200
            assert client.get(f"/stores/{name}/sources").json()["total"] == 2
        client.post("/stores", json={"name": "new"}).raise_for_status()
        assert is_encrypted(folder / "new.lmos")
        assert client.get("/stores/plain/export").status_code == 200
        refused = error_of(client.get("/stores/secret/export"), 403)
        assert "--plain" in refused["message"]
        assert client.delete("/stores/secret").json() == {"deleted": "secret"}


@pytest.mark.parametrize("key", [None, Key(b"o" * 32)])
def test_a_server_without_the_key_says_so(
    folder: Path, tiny_llama: BaseModel, key: Key | None
) -> None:
    before = (folder / "secret.lmos").read_bytes()
    with served(folder, tiny_llama, store_key=key) as server, server.client() as client:
        for reply in (
            client.get("/stores/secret"),
            client.post("/stores/secret/ask", json={"question": "Who?"}),
            client.post("/stores/secret/sources", json={"name": "a", "text": "One fox."}),
            client.delete("/stores/secret"),
        ):
            error = error_of(reply, 403)
            assert error["code"] == "store_encrypted"
            assert "--key-file" in error["message"]
        assert client.get("/stores/plain").status_code == 200
    assert (folder / "secret.lmos").read_bytes() == before


def test_an_agent_gets_no_encrypted_store_without_its_key(folder: Path) -> None:
    error = failure("mcp", folder / "plain.lmos", folder / "secret.lmos")
    assert "secret.lmos is encrypted" in error
    assert "--key-file" in error
