"""Chat completions: a talk in, an answer from a store out, whole or in pieces.

Knows the bodies and events of OpenAI's clients. Does not know how an answer is made.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from lmos.server.asking import Asked, Question, with_remark
from lmos.server.openai.citing import about, finish_reason, metadata_of, url_citations
from lmos.server.openai.shapes import ChatRequest
from lmos.server.openai.talks import Chosen, question_and_turns
from lmos.server.problems import Problem
from lmos.server.sent import EVENT_STREAM, event, stream_of
from lmos.server.stores import PROBLEMS

router = APIRouter(prefix="/v1", tags=["openai"], responses=PROBLEMS)
_DEFAULT_TOKENS = 128


@dataclass(frozen=True)
class _Completion:
    """One answer to one talk, as a client is told it."""

    asked: Asked
    question: Question
    body: ChatRequest
    request: Request
    ignored: list[str]
    completion_id: str
    created: int

    def whole(self) -> dict[str, Any]:
        """All of it at once."""
        message = {
            "role": "assistant",
            "content": self.asked.text,
            "refusal": None,
            "annotations": self._annotations,
        }
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._reason}
        return {
            **self._head("chat.completion"),
            "choices": [choice],
            "usage": self._usage,
            **self._about,
        }

    async def events(self) -> AsyncIterator[str]:
        """Piece by piece; citations and what only lmos says come with the last one."""
        yield self._chunk({"role": "assistant", "content": ""})
        async for piece in self.asked.pieces():
            yield self._chunk({"content": piece})
        yield self._chunk({"annotations": self._annotations}, self._reason, **self._about)
        options = self.body.stream_options
        if options is not None and options.include_usage:
            head = self._head("chat.completion.chunk")
            yield event({**head, "choices": [], "usage": self._usage})
        yield "data: [DONE]\n\n"

    def _chunk(self, delta: dict[str, Any], reason: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return event({**self._head("chat.completion.chunk"), "choices": [choice], **more})

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.completion_id,
            "object": kind,
            "created": self.created,
            "model": self.body.model or self.question.store,
        }

    @property
    def _annotations(self) -> list[dict[str, Any]]:
        return url_citations(self.asked, self.question.store, self.request)

    @property
    def _reason(self) -> str:
        return finish_reason(self.asked.answer, self.question.max_new_tokens)

    @property
    def _about(self) -> dict[str, Any]:
        answer, store = self.asked.answer, self.question.store
        return {
            "metadata": metadata_of(answer, store, self.body.metadata),
            "lmos": about(answer, store, self.ignored),
        }

    @property
    def _usage(self) -> dict[str, Any]:
        read, said = self.asked.answer.num_prompt_tokens, self.asked.answer.num_tokens
        return {"prompt_tokens": read, "completion_tokens": said, "total_tokens": read + said}


@router.post(
    "/chat/completions",
    operation_id="create_chat_completion",
    responses={200: {"content": {EVENT_STREAM: {}}}},
)
async def create_chat_completion(body: ChatRequest, choice: Chosen, request: Request) -> Response:
    """Answer the last message from a store; earlier ones are read as turns of the talk.

    The store is named by the header X-Lmos-Store, by `user`, or by `model`. System messages and
    tools are not read, and named in `lmos.ignored`.
    """
    _require_plain(body)
    serving = choice.access.serving
    store = choice.named(body.user, body.model)
    text, turns, ignored = question_and_turns(body.messages)
    most = body.max_completion_tokens or body.max_tokens or _DEFAULT_TOKENS
    question = Question(
        store,
        text,
        turns,
        max_new_tokens=min(most, serving.config.max_answer_tokens),
        temperature=body.temperature or 0.0,
        seed=body.seed or 0,
        when=serving.config.when,
    )
    asked = await Asked(serving, question, with_remark).start()
    completion = _Completion(
        asked,
        question,
        body,
        request,
        ignored + (["tools"] if body.tools else []),
        f"chatcmpl-{secrets.token_hex(12)}",
        int(time.time()),
    )
    if body.stream:
        return stream_of(completion.events(), request.state.request_id)
    await asked.whole(request)
    return JSONResponse(completion.whole())


def _require_plain(body: ChatRequest) -> None:
    """Refuse what would be another answer than the one that was asked for."""
    if (body.n or 1) > 1:
        raise _cannot("n", "one answer is given, got a request for more")
    if body.tool_choice not in (None, "auto", "none"):
        raise _cannot("tool_choice", "tools are not called here")
    kind = (body.response_format or {}).get("type", "text")
    if kind != "text":
        raise _cannot("response_format", "answers are plain text")


def _cannot(param: str, why: str) -> Problem:
    return Problem(400, f"{param}: {why}", code="unsupported", param=param)
