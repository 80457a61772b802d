"""The Model Context Protocol at `/mcp`: each key gets the tools and the stores that it opens.

Every request is served by itself, so that a key that was taken back ends at once. Knows keys and
lanes; what the tools do is the business of `mcp`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

from starlette.types import Receive, Scope, Send

from lmos.errors import LmosError, StoreLocked
from lmos.mcp.server import answer_request, make_server
from lmos.server.access import Access
from lmos.server.lanes import Lane
from lmos.server.problems import Problem, problem_of
from lmos.session import Session


class AgentSessions:
    """Sessions of the stores that one key opens, each used in its lane.

    Args:
        access: Of the request.
        loop: Where the lanes are used.
    """

    def __init__(self, access: Access, loop: asyncio.AbstractEventLoop) -> None:
        self._access = access
        self._serving = access.serving
        self._loop = loop

    def names(self) -> Sequence[str]:
        """Of the stores that the key opens."""
        return self._access.names()

    @contextmanager
    def reading(self, name: str) -> Iterator[Session]:
        """A session to read, in turn with who asks over REST.

        Raises:
            LmosError: The key does not open it, or it cannot be used now.
        """
        with self._in_words():
            self._access.to_read(name)
            turn = self._turn(self._serving.answering, name)
            with turn, self._serving.pool.reading(name) as session:
                yield session

    @contextmanager
    def writing(self, name: str) -> Iterator[Session]:
        """A session to change, in turn with who changes over REST.

        Raises:
            LmosError: The key may not change it, or it cannot be used now.
        """
        with self._in_words():
            self._access.to_write(name)
            turn = self._turn(self._serving.changing, name)
            with turn, self._serving.pool.writing(name) as session:
                yield session

    @contextmanager
    def _turn(self, lane: Lane, store: str) -> Iterator[None]:
        """A thread of the lane stands still while this one works in its place."""
        begun, over = threading.Event(), threading.Event()

        def stand() -> None:
            begun.set()
            over.wait()

        async def take() -> Future[None]:
            return lane.start(store, stand)

        taken = asyncio.run_coroutine_threadsafe(take(), self._loop).result()
        try:
            if not begun.wait(self._serving.config.answer_seconds):
                raise self._serving.too_late()
            yield
        finally:
            over.set()
            taken.cancel()

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """Whatever is refused, without the paths of this machine."""
        try:
            yield
        except Problem as problem:
            raise StoreLocked(problem.detail) from problem
        except LmosError as error:
            told = problem_of(error, str(self._serving.config.folder))
            raise type(error)(told.detail) from error


async def serve_agent(access: Access, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request of an agent's client."""
    sessions = AgentSessions(access, asyncio.get_running_loop())
    server = make_server(sessions, may_write=access.can_write, only=access.only_store)
    limit = access.serving.config.max_body_bytes
    await answer_request(server, scope, receive, send, max_body_bytes=limit)
