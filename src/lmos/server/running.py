"""Runs the application until it is told to stop, and then lets it finish what it has begun.

Knows uvicorn and addresses. Does not know the routes.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import sys

import uvicorn
from fastapi import FastAPI

from lmos.errors import ConfigError
from lmos.server.settings import ServerConfig
from lmos.server.watching import log

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
_STOP_SECONDS = 30
_MAX_CONNECTIONS = 512


def require_private(config: ServerConfig, host: str) -> None:
    """Check that a server without keys is reached from its own machine alone.

    Raises:
        ConfigError: It is not.
    """
    if config.keys is None and not is_local(host):
        raise ConfigError(
            f"without keys, everybody who reaches {host} could read and change every store; give "
            "--keys FILE (lmos keys add FILE makes one), or serve on 127.0.0.1"
        )


def is_local(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """Take a port; 0 is any that is free.

    Raises:
        ConfigError: It is taken, or there is no such address here.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(f"cannot serve on {host}, port {port}: {error.strerror}") from error


def address_of(listener: socket.socket) -> str:
    """Where it is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(app: FastAPI, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM; then requests that have begun are answered."""
    if not log.handlers:
        log.addHandler(logging.StreamHandler(sys.stderr))
        log.setLevel(logging.INFO)
        log.propagate = False
    config = uvicorn.Config(
        app,
        # What is told of a request is told by the application, without what was asked.
        access_log=False,
        log_level="warning",
        ws="none",
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_graceful_shutdown=_STOP_SECONDS,
        server_header=False,
    )
    uvicorn.Server(config).run(sockets=[listener])
