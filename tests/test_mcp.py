"""The server for agents, by the SDK's own client: in this process, as a command, over HTTP."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
import uvicorn
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import TextContent, TextResourceContents
from starlette.applications import Starlette

from commands import failure, output, texts_in
from lmos.errors import QueryError
from lmos.mcp.documents import PAGE_BYTES
from lmos.mcp.places import Place
from lmos.mcp.server import http_lifespan, http_routes, make_server
from lmos.mcp.sessions import OpenSessions
from lmos.model.base import BaseModel
from lmos.nodes import Span
from lmos.session import Session
from lmos.store.sqlite import SQLiteStore

SOURCE_FOLDER = Path(__file__).parent.parent / "src"
PATIENCE_SECONDS = 300
READING = {"search", "fetch", "ask", "sources"}
WRITING = {"remember", "update", "forget"}
FACT = "The lock of the blue bicycle opens with 4812."


@pytest.fixture
def life(tiny_llama: BaseModel, tmp_path: Path) -> Path:
    """An empty store, and the folder of its model."""
    tiny_llama.save_pretrained(tmp_path / "model")
    output("new", tmp_path / "life.lmos", "--model", tmp_path / "model")
    return tmp_path / "life.lmos"


@pytest.fixture
def work(life: Path) -> Path:
    output("new", life.with_name("work.lmos"), "--model", life.with_name("model"))
    return life.with_name("work.lmos")


def opened(model: BaseModel, *paths: Path) -> OpenSessions:
    return OpenSessions(
        {path.stem: Session(model, SQLiteStore.open_shared(path)) for path in paths}
    )


def talk(connection: Any, work: Callable[[Client], Awaitable[Any]]) -> Any:
    """What `work` returns of a connected client."""

    async def run() -> Any:
        with anyio.fail_after(PATIENCE_SECONDS):
            async with Client(connection) as client:
                return await work(client)

    return anyio.run(run)


async def call(client: Client, tool: str, **arguments: Any) -> Any:
    """The JSON that a tool returns, which is the same in both forms."""
    result = await client.call_tool(tool, arguments)
    (content,) = result.content
    assert isinstance(content, TextContent)
    assert not result.is_error, content.text
    assert json.loads(content.text) == result.structured_content
    return result.structured_content


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    """What a tool says that fails."""
    result = await client.call_tool(tool, arguments)
    (content,) = result.content
    assert isinstance(content, TextContent)
    assert result.is_error, content.text
    assert "Traceback" not in content.text
    return content.text


async def use_all(client: Client) -> None:
    """Remember, find, read, change, forget; with one store."""
    noted = await call(client, "remember", text=FACT, source="notes/bicycle.md")
    assert noted["id"] == f"lmos://life/notes/bicycle.md#0-{len(FACT) + 1}"
    found = await call(client, "search", query="What opens the blue bicycle?")
    (result,) = found["results"]
    assert result.keys() == {"id", "title", "url", "text"}
    assert (result["title"], result["text"]) == ("notes/bicycle.md", FACT)
    document = await call(client, "fetch", id=result["id"])
    assert document.keys() == {"id", "title", "text", "url", "metadata"}
    assert document["text"] == FACT + "\n"
    answer = await call(client, "ask", question="What opens the blue bicycle?")
    assert [each["text"] for each in answer["citations"]] == [FACT]
    await call(client, "update", source="notes/bicycle.md", old="4812", new="9035")
    read = await client.read_resource(result["url"])
    (content,) = read.contents
    assert isinstance(content, TextResourceContents)
    assert content.text == FACT.replace("4812", "9035") + "\n"
    listed = await call(client, "sources", like="notes/*")
    assert [each["source"] for each in listed["sources"]] == ["notes/bicycle.md"]
    await call(client, "forget", source="notes/bicycle.md")
    assert (await call(client, "sources"))["sources"] == []


def command(*arguments: object) -> StdioServerParameters:
    words = ["-m", "lmos.cli", "mcp", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE_FOLDER)}
    return StdioServerParameters(command=sys.executable, args=words, env=environment)


def test_a_client_uses_the_command_over_standard_streams(life: Path, tmp_path: Path) -> None:
    async def use(client: Client) -> None:
        assert {tool.name for tool in (await client.list_tools()).tools} == READING | WRITING
        await use_all(client)
        # It holds no lock while nothing is changed.
        output("add", life, "-", "--source", "diary", "--wait", "0", stdin="Eva came on Monday.")
        assert [each.name for each in (await client.list_resources()).resources] == ["diary"]

    with (tmp_path / "errors").open("w+") as errors:
        talk(stdio_client(command(life), errlog=errors), use)
        errors.seek(0)
        assert "Traceback" not in errors.read()
    assert texts_in(life) == {"diary": "Eva came on Monday."}


def test_a_client_uses_the_command_over_http(life: Path) -> None:
    words = [sys.executable, "-m", "lmos.cli", "mcp", str(life), "--http", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE_FOLDER)}
    with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as serving:
        try:
            assert serving.stderr is not None
            for line in serving.stderr:
                if address := re.search(r"http://\S+", line):
                    break
            assert address is not None
            talk(address[0].rstrip(";"), use_all)
        finally:
            serving.terminate()


def test_an_encrypted_store_is_served_with_its_key(life: Path, tmp_path: Path) -> None:
    (tmp_path / "life.key").write_bytes(bytes(range(32)))
    # In a process of its own: in this one, keys are derived at a lower cost.
    words = ["-m", "lmos.cli", "rekey", str(life), "--new-key-file", str(tmp_path / "life.key")]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE_FOLDER)}
    subprocess.run([sys.executable, *words], env=environment, check=True)

    async def use(client: Client) -> None:
        await call(client, "remember", text=FACT)
        assert (await call(client, "search", query="4812"))["results"][0]["text"] == FACT

    talk(command(life, "--key-file", tmp_path / "life.key"), use)
    assert "is encrypted" in failure("mcp", life)


def test_an_app_of_another_makes_serves_it_at_a_path(life: Path, tiny_llama: BaseModel) -> None:
    server = make_server(opened(tiny_llama, life), may_write=True, only="life")
    app = Starlette(routes=http_routes(server, "/mcp"), lifespan=lambda _: http_lifespan(server))
    listening = socket.create_server(("127.0.0.1", 0))

    @asynccontextmanager
    async def running() -> AsyncIterator[str]:
        serving = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(serving.serve, sockets=[listening]))
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
            serving.should_exit = True

    async def use() -> None:
        async with running() as address, Client(address) as client:
            await use_all(client)

    anyio.run(use)


def test_without_the_right_to_write_no_tool_changes_anything(
    life: Path, tiny_llama: BaseModel
) -> None:
    async def use(client: Client) -> None:
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} == READING
        assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)
        assert "remember" not in (client.instructions or "")
        assert "Unknown tool" in await refusal(client, "forget", source="diary")

    talk(make_server(opened(tiny_llama, life), may_write=False), use)


def test_tools_say_what_they_do_to_a_store(life: Path, tiny_llama: BaseModel) -> None:
    async def use(client: Client) -> None:
        for tool in (await client.list_tools()).tools:
            assert tool.annotations is not None
            assert tool.description is not None
            assert len(tool.description) > 100
            assert tool.annotations.read_only_hint == (tool.name in READING)
            assert tool.annotations.destructive_hint == (tool.name in {"update", "forget"})
            assert tool.annotations.idempotent_hint == (tool.name != "remember")
            assert all("description" in each for each in tool.input_schema["properties"].values())
            assert "store" not in tool.input_schema["properties"]
        (prompt,) = (await client.list_prompts()).prompts
        (message,) = (await client.get_prompt(prompt.name)).messages
        assert isinstance(message.content, TextContent)
        assert "call remember" in message.content.text

    talk(make_server(opened(tiny_llama, life), may_write=True, only="life"), use)


def test_of_several_stores_each_is_named(life: Path, work: Path, tiny_llama: BaseModel) -> None:
    async def use(client: Client) -> None:
        assert "life, work" in (client.instructions or "")
        await call(client, "remember", text="Eva came.", store="life")
        await call(client, "remember", text="Eva went.", store="work")
        found = await call(client, "search", query="Eva?")
        assert {each["text"] for each in found["results"]} == {"Eva came.", "Eva went."}
        found = await call(client, "search", query="Eva?", limit=1)
        assert len(found["results"]) == 1
        found = await call(client, "search", query="Eva?", store="work")
        assert [each["url"] for each in found["results"]] == ["lmos://work/memory"]
        assert len((await call(client, "sources"))["sources"]) == 2
        assert "life, work; got 'play'" in await refusal(
            client, "ask", question="Eva?", store="play"
        )
        assert "store" in await refusal(client, "ask", question="Who?")

    talk(make_server(opened(tiny_llama, life, work), may_write=True), use)


def test_what_cannot_be_done_is_told_in_words(life: Path, tiny_llama: BaseModel) -> None:
    async def use(client: Client) -> None:
        await call(client, "remember", text="Eva came. Eva went.", source="diary")
        for refused, message in (
            (refusal(client, "search", query=" "), "got an empty one"),
            (refusal(client, "forget", source="dairy"), "similar: 'diary'"),
            (refusal(client, "update", source="diary", old="Eva", new="Ada"), "more than once"),
            (refusal(client, "update", source="diary", old="Ada", new="Eva"), "does not stand"),
            (refusal(client, "update", source="diary", old="", new="Eva"), "got none"),
            (refusal(client, "remember", text="\n"), "nothing but white space"),
            (refusal(client, "fetch", id="lmos://life"), "expected an id"),
        ):
            assert message in await refused
        text = (await call(client, "fetch", id="lmos://life/diary"))["text"]
        assert "use forget" in await refusal(client, "update", source="diary", old=text, new="")
        with pytest.raises(MCPError, match="no source named 'dairy'"):
            await client.read_resource("lmos://life/dairy")

    talk(make_server(opened(tiny_llama, life), may_write=True, only="life"), use)


def test_another_writer_is_told_to_the_agent(life: Path, tiny_llama: BaseModel) -> None:
    async def use(client: Client) -> None:
        with SQLiteStore.open(life):
            assert "has" in await refusal(client, "remember", text="Eva came.")
        await call(client, "remember", text="Eva came.")

    talk(make_server(opened(tiny_llama, life), may_write=True, only="life"), use)


def test_a_long_source_is_read_page_by_page(life: Path, tiny_llama: BaseModel) -> None:
    text = "".join(f"Zeile {number}: 🌍 Grüße.\n" for number in range(900))

    async def use(client: Client) -> str:
        await call(client, "remember", text=text, source="long")
        page = await call(client, "fetch", id="lmos://life/long")
        whole = page["text"]
        while "next_id" in page["metadata"]:
            page = await call(client, "fetch", id=page["metadata"]["next_id"])
            whole += page["text"]
        middle = await call(client, "fetch", id="lmos://life/long#12000-12010")
        assert int(middle["metadata"]["start_byte"]) < 12000 < int(middle["metadata"]["end_byte"])
        assert len(middle["text"].encode()) <= PAGE_BYTES
        return str(whole)

    server = make_server(opened(tiny_llama, life), may_write=True, only="life")
    assert talk(server, use) == text


@pytest.mark.parametrize("name", ["diary", "/home/a b/di%C3är#1-2.md", "a//b/../c", "世界?x=1"])
def test_an_id_leads_back_to_its_place(name: str) -> None:
    for span in (None, Span(3, 9)):
        place = Place("my life", name, span)
        assert Place.parse(place.id, ["my life", "work"]) == place


@pytest.mark.parametrize("text", ["", "diary", "lmos://", "lmos://life/", "lmos://life/a#9-3"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(QueryError, match="expected an id"):
        Place.parse(text, ["life", "work"])


def test_the_command_refuses_what_it_cannot_serve(life: Path, tmp_path: Path) -> None:
    assert "there is no context store" in failure("mcp", tmp_path / "none.lmos")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "life.lmos").write_bytes(life.read_bytes())
    assert "both called 'life'" in failure("mcp", life, tmp_path / "other" / "life.lmos")
    said = failure("mcp", life, "--http", "--host", "256.0.0.1")
    assert "cannot listen at 256.0.0.1" in said
