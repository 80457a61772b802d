"""Together: threads that each want the next step of a text get it from one pass over all of them.

A step reads every weight of the model for a single token, so a pass for many costs little more than
one. Whoever comes first computes for all who wait by then. Knows threads and turns; does not know
what a step is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from lmos.model.turns import Turns

_MOST_ROWS = 32
_GATHER_SECONDS = 0.01
"""How long the rows of the last pass are waited for: they come back within a few thousandths."""


class Row(NamedTuple):
    """What one thread wants a step for."""

    item: Any
    cache: Any


Step = Callable[[Sequence[Row]], Any]
"""From rows to the results, in their order."""


class _Waiting:
    """A thread that waits, and what it waits for."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.result: Future[Any] = Future()


class Together:
    """Steps of several threads, made in one pass.

    Args:
        turns: Where a pass waits for its turn.
        step: From rows to the result of each. If it fails for several, each is tried alone, so
            it must leave rows as they were then.

    Attributes:
        num_waiting: Threads that wait for a pass now.
    """

    def __init__(self, turns: Turns, step: Step) -> None:
        self._turns = turns
        self._step = step
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._leader: _Waiting | None = None
        self._num_expected = 1

    @property
    def num_waiting(self) -> int:
        """See the class."""
        return len(self._waiting)

    def step(self, item: Any, cache: Any) -> Any:
        """The next step of one text; in the same pass as those of others who wait.

        Raises:
            Exception: What `step` raises for this row alone.
        """
        mine = _Waiting(Row(item, cache))
        with self._changed:
            self._waiting.append(mine)
            self._leader = self._leader or mine
            self._changed.notify_all()
            self._changed.wait_for(lambda: mine.result.done() or self._leader is mine)
        if not mine.result.done():
            self._lead(mine)
        return mine.result.result()

    def _lead(self, mine: _Waiting) -> None:
        """Compute for all who wait, and let the next one lead."""
        served: list[_Waiting] = [mine]
        try:
            with self._changed:
                self._changed.wait_for(
                    lambda: len(self._waiting) >= self._num_expected, timeout=_GATHER_SECONDS
                )
            with self._turns.take(is_short=True):
                with self._changed:
                    served = self._waiting[:_MOST_ROWS]
                self._compute(served)
        finally:
            with self._changed:
                # The place of one that ended within the pass is free; those who came are more.
                self._waiting = [each for each in self._waiting if each not in served]
                self._leader = self._waiting[0] if self._waiting else None
                self._num_expected = len(served) + len(self._waiting)
                for each in served:
                    each.result.cancel()
                self._changed.notify_all()

    def _compute(self, served: Sequence[_Waiting]) -> None:
        results: Any = None
        if len(served) > 1:
            try:
                results = self._step([each.row for each in served])
            except Exception:
                results = None
        for number, each in enumerate(served):
            if results is not None:
                each.result.set_result(results[number])
                continue
            try:
                each.result.set_result(self._step([each.row])[0])
            except Exception as error:
                each.result.set_exception(error)
