"""The server: tools, resources and a prompt of the Model Context Protocol over sessions.

Errors that lmos raises on purpose reach the client in their own words, as a tool's error that its
model can read. Knows the protocol's library; does not know how stores were opened or who listens.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from importlib import metadata
from typing import Any, ParamSpec, TypeVar

from anyio import to_thread
from mcp.server.mcpserver import MCPServer, ResourceSecurity
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import Resource, ToolAnnotations
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from lmos.errors import LmosError, SourceNotFound, StoreNotFound
from lmos.mcp.documents import newest_first
from lmos.mcp.places import SCHEME, Place
from lmos.mcp.sessions import Sessions
from lmos.mcp.tools import Tools

MAX_LISTED = 200
"""Sources that are listed as resources, the newest; the tool `sources` lists all."""

_READING = {
    "search": "Search the memory",
    "fetch": "Read from the memory",
    "ask": "Ask the memory",
    "sources": "List what the memory holds",
}
_WRITING = {
    "remember": ToolAnnotations(
        title="Remember", read_only_hint=False, destructive_hint=False, idempotent_hint=False
    ),
    "update": ToolAnnotations(
        title="Change what is remembered",
        read_only_hint=False,
        destructive_hint=True,
        idempotent_hint=True,
    ),
    "forget": ToolAnnotations(
        title="Forget", read_only_hint=False, destructive_hint=True, idempotent_hint=True
    ),
}
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_READ_GUIDE = """\
This is a long-term memory: text that was kept from earlier conversations, notes and documents.
- Before you answer about the user, their people, work, plans or documents, call search with a whole
  question; call fetch with an id of a result to read more around it.
- ask gives a short answer from a small model with citations; check them. When is_found is false the
  memory does not hold the answer: say so rather than take the guess. What differing has was said
  as well; tell both, and when.
- Say where what you tell comes from, by the title of the passage.
"""
_WRITE_GUIDE = """\
- When the user tells you something that will matter again, call remember: sentences that are
  understood on their own, with full names and dates.
- When a fact has changed, call search for the old one, then update it, so that both do not stand.
- Call forget only when the user asks for a source to be removed; it cannot be undone.
"""
_READ_ONLY_GUIDE = "- The memory can only be read here; nothing can be added or changed.\n"


class MemoryServer(MCPServer[Any]):
    """A server whose list of resources is that of the sources, as they are when it is asked for."""

    def __init__(self, sessions: Sessions, **options: Any) -> None:
        """Serve no tools yet.

        Args:
            sessions: By name of their store.
            **options: Of `MCPServer`.
        """
        super().__init__("lmos", title="lmos memory", log_level="WARNING", **options)
        self._memory = sessions

    async def list_resources(self) -> list[Resource]:
        """The newest sources of all stores."""
        return await to_thread.run_sync(self._list_sources)

    def _list_sources(self) -> list[Resource]:
        listed = []
        for name in self._memory.names():
            with self._memory.reading(name) as session:
                found = newest_first(session.sources())[:MAX_LISTED]
            listed += [
                Resource(
                    uri=Place(name, source.name).url,
                    name=source.name,
                    description=f"{source.num_tokens:,} tokens of the memory {name}",
                    mime_type="text/plain",
                    size=source.num_bytes,
                )
                for source in found
            ]
        return listed[:MAX_LISTED]


def make_server(sessions: Sessions, *, may_write: bool, only: str | None = None) -> MemoryServer:
    """The server over some sessions, for any transport: `run()` is standard input and output.

    Args:
        sessions: By name of their store; asked at every call, so stores may come and go.
        may_write: Whether the tools that change a store are offered.
        only: The one store that there is and will be; else tools take its name as `store`.

    Example:
        server = make_server(OpenSessions({"life": session}), may_write=True)
        app = FastAPI(lifespan=lambda _: http_lifespan(server))
        app.router.routes.extend(http_routes(server, "/mcp"))
    """
    server = MemoryServer(
        sessions,
        instructions=guide(sessions, may_write=may_write),
        version=metadata.version("lmos"),
    )
    tools = Tools(sessions)
    for name, title in _READING.items():
        reading = ToolAnnotations(
            title=title, read_only_hint=True, destructive_hint=False, idempotent_hint=True
        )
        _add_tool(server, getattr(tools, name), reading, only)
    for name, writing in _WRITING.items() if may_write else ():
        _add_tool(server, getattr(tools, name), writing, only)
    _add_resources(server, sessions)
    _add_prompt(server, sessions, may_write=may_write)
    return server


def http_routes(
    server: MemoryServer, path: str = "/mcp", host: str = "127.0.0.1"
) -> Sequence[BaseRoute]:
    """Routes of any Starlette or FastAPI app at which the server speaks streamable HTTP.

    They work while `http_lifespan(server)` is entered, which the app's lifespan has to do.

    Args:
        server: From `make_server`.
        path: Where it listens.
        host: That the app is bound to; on this machine alone, requests that came by way of another
            name are refused, as a web page could send them.
    """
    return server.streamable_http_app(streamable_http_path=path, host=host).routes


def http_lifespan(server: MemoryServer) -> AbstractAsyncContextManager[None]:
    """What has to be entered while `http_routes` are served; once for each server."""
    return server.session_manager.run()


async def answer_request(
    server: MemoryServer, scope: Scope, receive: Receive, send: Send, *, max_body_bytes: int
) -> None:
    """Answer one request by streamable HTTP, and remember nothing of it.

    For a server that is made for the request. Who may call it and by which name is up to the
    caller.

    Args:
        server: From `make_server`.
        scope: Of the request.
        receive: Its body.
        send: Takes the answer.
        max_body_bytes: Of the request.
    """
    server.streamable_http_app(
        json_response=True,
        stateless_http=True,
        max_request_body_size=max_body_bytes,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    async with server.session_manager.run():
        await server.session_manager.handle_request(scope, receive, send)


def guide(sessions: Sessions, *, may_write: bool) -> str:
    """How an agent uses the memory, in words."""
    names = sessions.names()
    several = f"- There are several memories, named in store: {', '.join(names)}.\n"
    return (
        _READ_GUIDE
        + (_WRITE_GUIDE if may_write else _READ_ONLY_GUIDE)
        + (several if len(names) > 1 else "")
    )


def _add_tool(
    server: MemoryServer, tool: Callable[..., Any], annotations: ToolAnnotations, only: str | None
) -> None:
    server.add_tool(
        _told(_with_store(tool, only)),
        description=inspect.getdoc(tool),
        annotations=annotations.model_copy(update={"open_world_hint": False}),
    )


def _with_store(tool: Callable[..., Any], only: str | None) -> Callable[..., Any]:
    """The tool without its parameter `store`, where there is one store only."""
    signature = inspect.signature(tool, eval_str=True)
    if only is None or "store" not in signature.parameters:
        return tool

    @functools.wraps(tool)
    def with_only(*args: Any, **kwargs: Any) -> Any:
        return tool(*args, store=only, **kwargs)

    kept = [each for each in signature.parameters.values() if each.name != "store"]
    with_only.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
    return with_only


def _told(tool: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """The tool with errors of lmos as errors that the client is told."""

    @functools.wraps(tool)
    def told(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        try:
            return tool(*args, **kwargs)
        except LmosError as error:
            raise ToolError(str(error)) from error

    return told


def _add_resources(server: MemoryServer, sessions: Sessions) -> None:
    # Names of sources may be paths; they are looked up in the store, never on the disk.
    security = ResourceSecurity(exempt_params={"source"})

    @server.resource(
        f"{SCHEME}{{store}}/{{+source}}",
        name="source",
        title="A source of the memory",
        description="The whole text of a source. For a long one, use the tools search and fetch.",
        mime_type="text/plain",
        security=security,
    )
    def read_source(store: str, source: str) -> str:
        try:
            with sessions.reading(store) as session, session.store.snapshot():
                known = session.store.source(source)
                return session.store.text(known.source_id).decode()
        except (SourceNotFound, StoreNotFound) as error:
            raise ResourceNotFoundError(str(error)) from error
        except LmosError as error:
            raise ResourceError(str(error)) from error


def _add_prompt(server: MemoryServer, sessions: Sessions, *, may_write: bool) -> None:
    @server.prompt(
        name="use_memory",
        title="Use the memory",
        description="Tells the assistant when to search the memory and when to add to it.",
    )
    def use_memory() -> str:
        return guide(sessions, may_write=may_write)
