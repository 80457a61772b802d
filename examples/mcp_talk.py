"""What an agent and `lmos mcp` say to each other: starts the server as a client does, and shows it.

`python examples/mcp_talk.py` runs it with the default model in a new store; docs/mcp.md shows what
it printed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp_types import TextContent

TEXTS = Path(__file__).parent / "texts"
NOTES = ("diary.md", "household.md")
LMOS = ["-m", "lmos.cli"]


def main() -> None:
    """Make a store, add two files of notes, and use it as an agent would."""
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(folder) / "life.lmos")
        added = (["add", store, str(TEXTS / name), "--source", name] for name in NOTES)
        for words in (["new", store], *added):
            subprocess.run([sys.executable, *LMOS, *words], check=True, capture_output=True)
        # The SDK hands down few variables of the environment; a client's settings name them.
        server = StdioServerParameters(
            command=sys.executable, args=[*LMOS, "mcp", store], env=dict(os.environ)
        )
        anyio.run(_talk, server)


async def _talk(server: StdioServerParameters) -> None:
    async with Client(server) as client:
        tools = (await client.list_tools()).tools
        print("tools:", ", ".join(tool.name for tool in tools))
        found = await _call(client, "search", query="What is the code of the garage door?", limit=2)
        await _call(client, "fetch", id=found["results"][0]["id"])
        await _call(client, "ask", question="Which button restarts the boiler?")
        await _call(client, "remember", text="On 2024-05-17 Nadia began to work in Leeds.")
        await _call(client, "ask", question="Where does Nadia work?")
        await _call(client, "update", source="memory", old="in Leeds", new="in York")
        await _call(client, "search", query="Where does Nadia work?", limit=1)
        await _call(client, "forget", source="dairy.md")


async def _call(client: Client, tool: str, **arguments: Any) -> Any:
    result = await client.call_tool(tool, arguments)
    (content,) = result.content
    assert isinstance(content, TextContent)
    print(f"\n→ {tool} {json.dumps(arguments, ensure_ascii=False)}")
    if result.is_error:
        print(f"← error: {content.text}")
        return None
    print("←", _shortened(json.dumps(json.loads(content.text), ensure_ascii=False, indent=1)))
    return json.loads(content.text)


def _shortened(text: str, most: int = 100) -> str:
    """Each line, cut where it is too long to read."""
    lines = text.splitlines()
    return "\n".join(line if len(line) <= most else line[: most - 1] + "…" for line in lines)


if __name__ == "__main__":
    main()
