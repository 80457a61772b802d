"""Runs a server until its client has gone, or, over HTTP, until it is interrupted.

Knows sockets and standard streams. Knows no stores.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable

import anyio
import uvicorn

from lmos.errors import ConfigError
from lmos.mcp.server import MemoryServer

PATH = "/mcp"


def run_stdio(server: MemoryServer) -> None:
    """Speak over standard input and output, until the input ends."""
    anyio.run(server.run_stdio_async)


def run_http(server: MemoryServer, host: str, port: int, tell: Callable[[str], None]) -> None:
    """Speak streamable HTTP, until interrupted.

    Args:
        server: From `make_server`.
        host: Name or address to listen at.
        port: 0 takes one that is free.
        tell: Told the address once it listens.

    Raises:
        ConfigError: It cannot listen there.
    """
    listening = _listen(host, port)
    app = server.streamable_http_app(streamable_http_path=PATH, host=host)
    serving = uvicorn.Server(uvicorn.Config(app, log_level=logging.WARNING))
    shown = f"[{host}]" if ":" in host else host
    with listening:
        tell(f"http://{shown}:{listening.getsockname()[1]}{PATH}")
        serving.run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"cannot listen at {host}, port {port}: {error}; choose another --host or --port"
        ) from error
