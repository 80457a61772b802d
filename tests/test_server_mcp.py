"""Agents at the server's `/mcp`, by the SDK's own client: each key has its tools and its stores."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx2 as http
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent

from lmos.model.base import BaseModel
from lmos.server.keys import add_key
from lmos.session import Session
from serving import PATIENCE_SECONDS, error_of, served

READING = {"search", "fetch", "ask", "sources"}
WRITING = {"remember", "update", "forget"}


@pytest.fixture
def folder(tiny_llama: BaseModel, tmp_path: Path) -> Path:
    for name in ("life", "work"):
        with Session.create(tmp_path / f"{name}.lmos", tiny_llama) as session:
            session.add("diary", f"The {name} lock opens with 4812.")
    return tmp_path


def talk(url: str, key: str | None, work: Callable[[Client], Awaitable[None]]) -> None:
    async def run() -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        with anyio.fail_after(PATIENCE_SECONDS):
            async with (
                http.AsyncClient(headers=headers, timeout=PATIENCE_SECONDS) as client,
                Client(streamable_http_client(f"{url}/mcp", http_client=client)) as agent,
            ):
                await work(agent)

    anyio.run(run)


async def call(agent: Client, tool: str, **arguments: Any) -> tuple[bool, str]:
    """Whether a tool failed, and what it said."""
    result = await agent.call_tool(tool, arguments)
    (content,) = result.content
    assert isinstance(content, TextContent)
    return bool(result.is_error), content.text


def test_each_key_has_its_tools_and_its_store(folder: Path, tiny_llama: BaseModel) -> None:
    keys = folder / "keys.json"
    reads, _ = add_key(keys, "life", can_write=False)
    writes, _ = add_key(keys, "life", can_write=True)
    everything, _ = add_key(keys, "*", can_write=False)

    async def read(agent: Client) -> None:
        assert {tool.name for tool in (await agent.list_tools()).tools} == READING
        has_failed, said = await call(agent, "search", query="lock?")
        assert not has_failed
        assert "life lock" in said
        assert "work" not in said
        for id in ("lmos://work/diary", "lmos://none/diary"):
            has_failed, said = await call(agent, "fetch", id=id)
            assert has_failed
            assert "does not open" in said
        assert (await call(agent, "remember", text="No."))[0]

    async def write(agent: Client) -> None:
        assert {tool.name for tool in (await agent.list_tools()).tools} == READING | WRITING
        assert not (await call(agent, "remember", text="Eva came.", source="talk"))[0]
        assert "Eva came." in (await call(agent, "fetch", id="lmos://life/talk"))[1]

    async def read_all(agent: Client) -> None:
        assert {tool.name for tool in (await agent.list_tools()).tools} == READING
        said = (await call(agent, "search", query="lock?"))[1]
        assert "life lock" in said
        assert "work lock" in said

    with served(folder, tiny_llama, keys=keys) as server:
        talk(server.url, reads, read)
        talk(server.url, writes, write)
        talk(server.url, everything, read_all)
        with server.client() as client:
            assert error_of(client.post("/mcp", json={}), 401)["code"] == "missing_api_key"
        assert server.serving.answering.num_inside == 0


def test_without_keys_agents_of_this_machine_may_do_everything(
    folder: Path, tiny_llama: BaseModel
) -> None:
    async def use(agent: Client) -> None:
        assert {tool.name for tool in (await agent.list_tools()).tools} == READING | WRITING
        assert not (await call(agent, "remember", text="Eva came.", store="work"))[0]

    with served(folder, tiny_llama) as server:
        talk(server.url, None, use)
