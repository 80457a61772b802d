"""What a running server has: stores, models, threads, keys, numbers. One object for all routes.

Knows how work of each kind is done: in which lane, for how long at most. Knows no route.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from lmos.model.turns import use_one_core
from lmos.server.keys import KeyRing
from lmos.server.lanes import Lane
from lmos.server.models import ModelShelf
from lmos.server.pool import StorePool
from lmos.server.problems import Problem
from lmos.server.settings import ServerConfig
from lmos.server.watching import Metrics
from lmos.session import Session

_Result = TypeVar("_Result")
_NO_STORE = ""


class Serving:
    """The parts of one server, put together.

    Args:
        config: How it serves.

    Attributes:
        config: As given.
        models: Those in memory.
        pool: The stores.
        keys: Who may do what; `None` where everybody may do everything.
        metrics: What was done.
        answering: Threads that read and answer.
        changing: Threads that add and forget.
        caring: A thread for what takes long and changes nothing: verify, export.

    Raises:
        ConfigError: The file of keys cannot be read.
    """

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self.models = ModelShelf(config.load, config.default_model, config.max_models)
        self.pool = StorePool(
            config.folder, self.models, config.max_open, config.wait_seconds, config.store_key
        )
        self.keys = None if config.keys is None else KeyRing(config.keys)
        bounds = (config.max_waiting, config.max_waiting_each, use_one_core)
        self.answering = Lane("answering", config.readers, *bounds)
        self.changing = Lane("changing", config.writers, *bounds)
        self.caring = Lane("caring", 1, *bounds)
        self.lanes = [self.answering, self.changing, self.caring]
        self.metrics = Metrics(self.pool, self.lanes)

    async def read(self, store: str, work: Callable[[Session], _Result]) -> _Result:
        """Do something with a store that does not change it."""

        def reading() -> _Result:
            with self.pool.reading(store) as session:
                return work(session)

        return await self.within_time(self.answering.run(store, reading))

    async def care(self, store: str, work: Callable[[Session], _Result]) -> _Result:
        """The same for what takes long."""

        def reading() -> _Result:
            with self.pool.reading(store) as session:
                return work(session)

        return await self.caring.run(store, reading)

    async def change(self, store: str, work: Callable[[Session], _Result]) -> _Result:
        """Change a store; what has begun is done to its end, even if the client leaves."""

        def writing() -> _Result:
            with self.pool.writing(store) as session:
                return work(session)

        return await self.changing.run(store, writing)

    async def change_files(self, store: str, work: Callable[[StorePool], _Result]) -> _Result:
        """Make or remove a store."""
        return await self.changing.run(store, lambda: work(self.pool))

    async def compute(self, work: Callable[[ModelShelf], _Result]) -> _Result:
        """Do something with models alone."""
        return await self.within_time(self.answering.run(_NO_STORE, lambda: work(self.models)))

    async def within_time(self, result: Awaitable[_Result]) -> _Result:
        """Wait for something, but not for ever.

        Raises:
            Problem: It took too long.
        """
        try:
            async with asyncio.timeout(self.config.answer_seconds):
                return await result
        except TimeoutError:
            raise self.too_late() from None

    def too_late(self) -> Problem:
        """What is told when an answer took too long."""
        return Problem(
            504,
            f"the answer took more than {self.config.answer_seconds:g} s; ask for less, or try "
            "again when the server has less to do",
            code="timeout",
        )

    def close(self) -> None:
        """Finish what has begun, and close everything."""
        for lane in self.lanes:
            lane.close()
        self.pool.close()
