"""A question to a store -> a stream of text, or all of it; both end when the asker leaves.

The model works in a thread; its pieces come to the event loop one by one. Knows sessions and
threads; does not know how an answer is written down.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from fastapi import Request

from lmos.model.prompts import UNKNOWN_ANSWER
from lmos.reading.answers import Answer
from lmos.reading.telling import differing_line
from lmos.search.retriever import RetrievalConfig
from lmos.server.problems import Problem
from lmos.server.serving import Serving
from lmos.session import Session
from lmos.settings import WHEN

_LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class Question:
    """A question, and how it shall be answered.

    Attributes:
        store: That is asked.
        text: The question.
        turns: Questions that were asked before, and their answers.
        config: How to retrieve.
        max_new_tokens: Longest answer.
        temperature: 0 is greedy.
        seed: Of the sampling.
        when: Whether to look into the store, as `Session.ask` takes it.
    """

    store: str
    text: str
    turns: Sequence[tuple[str, str]] = ()
    config: RetrievalConfig = field(default_factory=RetrievalConfig)
    max_new_tokens: int = 128
    temperature: float = 0.0
    seed: int = 0
    when: str = WHEN[0]

    def ask(self, session: Session) -> Answer:
        """Retrieve; the answer is generated when one iterates over it."""
        return session.ask(
            self.text,
            self.config,
            turns=self.turns,
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            seed=self.seed,
            when=self.when,
        )


class Asked:
    """An answer on its way.

    Args:
        serving: Where it is generated.
        question: What was asked.
        say: From an answer to what is said, piece by piece: the answer itself, or `with_remark`.

    Attributes:
        text: All that was said so far.
    """

    def __init__(
        self,
        serving: Serving,
        question: Question,
        say: Callable[[Answer], Iterator[str]] = iter,
    ) -> None:
        self.text = ""
        self._say = say
        self._serving = serving
        self._question = question
        self._answer: Answer | None = None
        self._is_left = Event()
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[str | None] = asyncio.Queue()
        self._is_retrieved: asyncio.Future[None] = self._loop.create_future()

    @property
    def answer(self) -> Answer:
        """The answer, once `start` is done; whole when the iteration has ended."""
        assert self._answer is not None
        return self._answer

    async def start(self) -> Asked:
        """Retrieve: errors of the question come here, before anything is said.

        Raises:
            LmosError: The question cannot be asked.
            Problem: Too many wait, or it took too long.
        """
        self._future = self._serving.answering.start(self._question.store, self._work)
        self._future.add_done_callback(lambda _: self._call(self._end))
        try:
            async with asyncio.timeout(self._serving.config.answer_seconds):
                await self._is_retrieved
        except TimeoutError:
            self.leave()
            raise self._serving.too_late() from None
        except BaseException:
            self.leave()
            raise
        return self

    def leave(self) -> None:
        """Generate no more."""
        self._is_left.set()
        self._future.cancel()

    async def pieces(self) -> AsyncIterator[str]:
        """The text, piece by piece; whole characters each.

        Raises:
            Problem: It took too long.
        """
        deadline = self._loop.time() + self._serving.config.answer_seconds
        try:
            while (piece := await self._next(deadline)) is not None:
                self.text += piece
                yield piece
            await asyncio.wrap_future(self._future)
        finally:
            self.leave()

    async def _next(self, deadline: float) -> str | None:
        # Not around the loop above: a timeout must not end what the caller does meanwhile.
        try:
            async with asyncio.timeout_at(deadline):
                return await self._pieces.get()
        except TimeoutError:
            raise self._serving.too_late() from None

    async def whole(self, request: Request) -> str:
        """All of the text, unless who asked leaves.

        Raises:
            Problem: It took too long, or nobody wants it any more.
        """
        watcher = asyncio.create_task(self._watch(request))
        try:
            async for _ in self.pieces():
                pass
        finally:
            watcher.cancel()
            with suppress(asyncio.CancelledError):
                await watcher
        return self.text

    async def _watch(self, request: Request) -> None:
        while not await request.is_disconnected():
            await asyncio.sleep(_LOOK_SECONDS)
        self._is_left.set()

    def _work(self) -> None:
        """In a thread: retrieve, generate, judge."""
        with self._serving.pool.reading(self._question.store) as session:
            answer = self._answer = self._question.ask(session)
        # From here on the store is not needed, and others may have the session.
        self._call(self._retrieved)
        pieces = self._say(answer)
        while not self._is_left.is_set() and (piece := next(pieces, None)) is not None:
            self._call(self._pieces.put_nowait, piece)
        # What the model says of itself counts as not found.
        outcome = "stopped" if self._is_left.is_set() else "not_found"
        if answer.is_found:
            outcome = "found"
        self._call(
            self._serving.metrics.count_answer,
            outcome,
            answer.num_prompt_tokens,
            answer.num_tokens,
        )
        if self._is_left.is_set():
            raise Problem(499, "the client has left", code="client_left")

    def _call(self, what: Any, *arguments: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what, *arguments)

    def _retrieved(self) -> None:
        if not self._is_retrieved.done():
            self._is_retrieved.set_result(None)

    def _end(self) -> None:
        self._pieces.put_nowait(None)
        if self._is_retrieved.done() or self._future.cancelled():
            return
        error = self._future.exception()
        if error is not None:
            self._is_retrieved.set_exception(error)


def with_remark(answer: Answer) -> Iterator[str]:
    """An answer as it is generated, and behind it a remark if it was not found or others differ.

    What may become the words for "not found" is held back: the remark says it better.
    """
    held, has_said = "", False
    for piece in answer:
        held += piece
        if has_said or not _may_be_unknown(held):
            yield held
            held, has_said = "", True
    if held and answer.is_given:
        yield held
        has_said = True
    remark = _remark_on(answer)
    if remark:
        yield f"\n\n{remark}" if has_said else remark


def _remark_on(answer: Answer) -> str:
    """What is said of an answer that was not found; of one that was, what else was said."""
    if answer.is_own:
        return ""
    if answer.is_found:
        return "\n".join(map(differing_line, answer.differing))
    if answer.reason is not None:
        return f"Nothing was found: {answer.reason}."
    if answer.is_given:
        return (
            "(Nothing was found that answers this for sure; that is a guess, "
            f"{answer.confidence:.0%} sure.)"
        )
    return "Nothing was found that answers this."


def _may_be_unknown(text: str) -> bool:
    """Whether a text is how the words for "not found" begin, or is all of them."""
    return UNKNOWN_ANSWER.startswith(text.strip(" .!\n\"'").casefold())
