"""Turns: threads that compute at the same time get in each other's way; here they queue.

A few compute at once, with as many cores each as are left for it. What is short waits for one long
work at most. Knows threads and cores; does not know what is computed.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_LEAST_PLACES = 2


class Turns:
    """A few places to compute in, and two queues before them, served in turn.

    Args:
        num_places: How many threads may compute at once; by default one for each core that torch
            uses in this thread, and two at least.
    """

    def __init__(self, num_places: int | None = None) -> None:
        self._num_cores = torch.get_num_threads()
        self._num_places = num_places or max(_LEAST_PLACES, self._num_cores)
        self._num_free = self._num_places
        self._queues: tuple[deque[object], deque[object]] = (deque(), deque())
        self._was_short = False
        self._changed = threading.Condition()
        self._mine = threading.local()

    @contextmanager
    def take(self, *, is_short: bool) -> Iterator[None]:
        """Wait for a place, and have it inside the `with`. Who has one already goes on.

        Args:
            is_short: Whether little is to be computed: that and what takes long go in turn.
        """
        if getattr(self._mine, "has_place", False):
            yield
            return
        num_threads = self._enter(is_short)
        self._mine.has_place = True
        num_before = torch.get_num_threads()
        _use_threads(num_threads)
        try:
            yield
        finally:
            _use_threads(num_before)
            self._mine.has_place = False
            with self._changed:
                self._num_free += 1
                self._changed.notify_all()

    def _enter(self, is_short: bool) -> int:
        """Wait; the cores that are left for each who computes then."""
        ticket, queue = object(), self._queues[is_short]
        with self._changed:
            queue.append(ticket)
            try:
                self._changed.wait_for(lambda: self._num_free > 0 and self._next() is ticket)
            except BaseException:
                queue.remove(ticket)
                self._changed.notify_all()
                raise
            queue.popleft()
            self._num_free -= 1
            self._was_short = is_short
            self._changed.notify_all()
            # Who waits will compute beside it in a moment.
            num_others = sum(map(len, self._queues))
            num_computing = self._num_places - self._num_free + num_others
            return max(1, self._num_cores // min(num_computing, self._num_places))

    def _next(self) -> object:
        """Whose turn it is."""
        other, same = self._queues[not self._was_short], self._queues[self._was_short]
        return (other or same)[0]


def use_one_core() -> None:
    """Have this thread compute on one core where it has no place, such as between two passes."""
    _use_threads(1)


def _use_threads(count: int) -> None:
    """Have operations of this thread use so many threads."""
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
