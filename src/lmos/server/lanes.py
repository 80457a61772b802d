"""Lanes: work in a few threads, with a queue before them that does not grow without bound.

Whoever would have to wait too long is told so at once. Knows threads and counts; does not know what
the work is.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter
from typing import TypeVar

from lmos.server.problems import Problem

_Result = TypeVar("_Result")
_OF_THE_LAST = 0.2
_LONGEST_RETRY = 60.0


class Lane:
    """A few threads and those who wait for one. Used from one event loop.

    Args:
        name: Of the threads.
        num_threads: How many.
        max_waiting: Who may wait beside those who are served.
        max_waiting_each: Of those, how many for the same store.
        prepare: Called in each thread before its first work.

    Attributes:
        num_refused: Who was told to come again.
    """

    def __init__(
        self,
        name: str,
        num_threads: int,
        max_waiting: int,
        max_waiting_each: int,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.num_refused = 0
        self._threads = ThreadPoolExecutor(
            num_threads, thread_name_prefix=f"lmos-{name}", initializer=prepare
        )
        self._num_threads = num_threads
        self._max_waiting = max_waiting
        self._max_waiting_each = max_waiting_each
        self._inside: Counter[str] = Counter()
        self._mean_seconds = 1.0

    @property
    def num_inside(self) -> int:
        """Who is served or waits."""
        return self._inside.total()

    async def run(self, store: str, work: Callable[[], _Result]) -> _Result:
        """Do some work in a thread.

        Who stops waiting before it has begun keeps it from beginning; what has begun goes on.

        Args:
            store: That it is done for.
            work: Called in a thread.

        Raises:
            Problem: Too many wait already; says when to come again.
        """
        return await asyncio.wrap_future(self.start(store, work))

    def start(self, store: str, work: Callable[[], _Result]) -> Future[_Result]:
        """Begin some work, or put it into the queue.

        Raises:
            Problem: Too many wait already.
        """
        is_full = self.num_inside >= self._num_threads + self._max_waiting
        if is_full or self._inside[store] >= self._num_threads + self._max_waiting_each:
            self.num_refused += 1
            wait = self.num_inside * self._mean_seconds / self._num_threads
            raise Problem(
                429,
                "too many requests are waiting; try again later",
                code="busy",
                retry_seconds=min(max(wait, 1.0), _LONGEST_RETRY),
            )
        loop = asyncio.get_running_loop()
        self._inside[store] += 1

        def leave(seconds: float | None) -> None:
            self._inside[store] -= 1
            if not self._inside[store]:
                del self._inside[store]
            if seconds is not None:
                self._mean_seconds += _OF_THE_LAST * (seconds - self._mean_seconds)

        begun: list[float] = []

        def timed() -> _Result:
            begun.append(perf_counter())
            return work()

        def done(_: Future[_Result]) -> None:
            seconds = perf_counter() - begun[0] if begun else None
            if not loop.is_closed():
                loop.call_soon_threadsafe(leave, seconds)

        future = self._threads.submit(timed)
        future.add_done_callback(done)
        return future

    def close(self) -> None:
        """Finish what has begun; drop what waits."""
        self._threads.shutdown(wait=True, cancel_futures=True)
