"""A real server on a free port, in a thread, with a tiny model."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from lmos.model.base import BaseModel
from lmos.server.app import make_app
from lmos.server.keys import add_key
from lmos.server.running import address_of, listen
from lmos.server.serving import Serving
from lmos.server.settings import ServerConfig

TEXT = "Greta keeps a blue bicycle. Its lock opens with 4812.\nThe dog sleeps on the mat. " * 6
PATIENCE_SECONDS = 60.0


@dataclass
class Served:
    """A server, and how it is called."""

    url: str
    app: FastAPI
    config: ServerConfig

    @property
    def serving(self) -> Serving:
        serving: Serving = self.app.state.serving
        return serving

    def client(self, key: str | None = None, **options: Any) -> httpx.Client:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE_SECONDS, **options)

    def key(self, store: str, *, can_write: bool = False) -> str:
        assert self.config.keys is not None
        return add_key(self.config.keys, store, can_write=can_write)[0]


@contextmanager
def served(folder: Path, model: BaseModel, **options: Any) -> Iterator[Served]:
    """The stores of a folder, until the block ends."""
    name = model.name
    config = ServerConfig(folder, load=lambda *_: model, default_model=name, **options)
    app = make_app(config)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, ws="none"))
    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until(lambda: server.started)
            yield Served(address_of(listener), app, config)
        finally:
            server.should_exit = True
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()


def wait_until(is_so: Any) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def error_of(reply: httpx.Response, status: int) -> dict[str, Any]:
    """The error of a reply, which has the form that all have."""
    assert reply.status_code == status, reply.text
    body = reply.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert "Traceback" not in reply.text
    error: dict[str, Any] = body["error"]
    return error
