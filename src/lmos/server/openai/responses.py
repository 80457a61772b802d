"""Responses: a question in, an answer from a store out, whole or as a stream of events.

Knows the bodies and events of OpenAI's clients. Does not know how an answer is made.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from lmos.server.asking import Asked, Question, with_remark
from lmos.server.openai.citing import about, file_citations, finish_reason, metadata_of
from lmos.server.openai.shapes import InputItem, ResponsesRequest
from lmos.server.openai.talks import Chosen, KeptTalks, Turns, question_and_turns
from lmos.server.problems import Problem
from lmos.server.sent import EVENT_STREAM, event, stream_of
from lmos.server.stores import PROBLEMS

router = APIRouter(prefix="/v1", tags=["openai"], responses=PROBLEMS)
_DEFAULT_TOKENS = 128


@dataclass
class _Response:
    """One answer, as a client is told it."""

    asked: Asked
    question: Question
    body: ResponsesRequest
    talks: KeptTalks
    turns: Turns
    ignored: list[str]
    response_id: str = field(default_factory=lambda: f"resp_{secrets.token_hex(16)}")
    item_id: str = field(default_factory=lambda: f"msg_{secrets.token_hex(16)}")
    created: float = field(default_factory=time.time)
    num_events: int = 0

    def whole(self) -> dict[str, Any]:
        """All of it, when it is complete; a talk can go on from it."""
        answer, store = self.asked.answer, self.question.store
        if self.body.store is not False:
            said = answer.text.strip() if answer.is_found or answer.is_own else ""
            turns = (*self.turns, (self.question.text, said)) if said else self.turns
            self.talks.keep(store, self.response_id, turns)
        is_cut = finish_reason(answer, self.question.max_new_tokens) == "length"
        read, said_tokens = answer.num_prompt_tokens, answer.num_tokens
        return {
            **self._head("incomplete" if is_cut else "completed"),
            "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
            "output": [self._item("incomplete" if is_cut else "completed")],
            "usage": {
                "input_tokens": read,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": said_tokens,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": read + said_tokens,
            },
            "metadata": metadata_of(answer, store, self.body.metadata),
            "lmos": about(answer, store, self.ignored),
        }

    async def events(self) -> AsyncIterator[str]:
        """Every event of the answer, in the order that clients expect."""
        begun = {**self._head("in_progress"), "output": []}
        yield self._event("response.created", response=begun)
        yield self._event("response.in_progress", response=begun)
        empty = {**self._item("in_progress"), "content": []}
        yield self._event("response.output_item.added", output_index=0, item=empty)
        here = {"item_id": self.item_id, "output_index": 0, "content_index": 0}
        part = {"type": "output_text", "text": "", "annotations": []}
        yield self._event("response.content_part.added", **here, part=part)
        async for piece in self.asked.pieces():
            yield self._event("response.output_text.delta", **here, delta=piece, logprobs=[])
        for number, annotation in enumerate(self._annotations):
            yield self._event(
                "response.output_text.annotation.added",
                **here,
                annotation_index=number,
                annotation=annotation,
            )
        text = self.asked.text
        yield self._event("response.output_text.done", **here, text=text, logprobs=[])
        yield self._event("response.content_part.done", **here, part=self._part)
        whole = self.whole()
        yield self._event("response.output_item.done", output_index=0, item=whole["output"][0])
        yield self._event(f"response.{whole['status']}", response=whole)

    def _event(self, kind: str, **values: Any) -> str:
        number, self.num_events = self.num_events, self.num_events + 1
        return event({"type": kind, "sequence_number": number, **values}, kind)

    def _head(self, status: str) -> dict[str, Any]:
        return {
            "id": self.response_id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "model": self.body.model or self.question.store,
            "parallel_tool_calls": False,
            "previous_response_id": self.body.previous_response_id,
            "temperature": self.question.temperature,
            "tool_choice": "none",
            "tools": [],
            "max_output_tokens": self.question.max_new_tokens,
            "metadata": self.body.metadata or {},
        }

    def _item(self, status: str) -> dict[str, Any]:
        return {
            "id": self.item_id,
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": [self._part] if status != "in_progress" else [],
        }

    @property
    def _part(self) -> dict[str, Any]:
        return {
            "type": "output_text",
            "text": self.asked.text,
            "annotations": self._annotations,
            "logprobs": [],
        }

    @property
    def _annotations(self) -> list[dict[str, Any]]:
        return file_citations(self.asked, self.question.store)


@router.post(
    "/responses",
    operation_id="create_response",
    responses={200: {"content": {EVENT_STREAM: {}}}},
)
async def create_response(body: ResponsesRequest, choice: Chosen, request: Request) -> Response:
    """Answer a question from a store, and go on with a talk by `previous_response_id`.

    The store is named as for chat completions. Instructions and tools are not read, and named in
    `lmos.ignored`.
    """
    if body.tool_choice not in (None, "auto", "none"):
        raise Problem(
            400, "tool_choice: tools are not called here", code="unsupported", param="tool_choice"
        )
    serving = choice.access.serving
    store = choice.named(body.user, body.model)
    talks: KeptTalks = request.app.state.talks
    items = [InputItem(role="user", content=body.input)] if isinstance(body.input, str) else None
    text, turns, ignored = question_and_turns(items or body.input)  # type: ignore[arg-type]
    turns = (*talks.before(store, body.previous_response_id), *turns)
    question = Question(
        store,
        text,
        turns,
        max_new_tokens=min(
            body.max_output_tokens or _DEFAULT_TOKENS, serving.config.max_answer_tokens
        ),
        temperature=body.temperature or 0.0,
        when=serving.config.when,
    )
    ignored += ["tools"] if body.tools else []
    ignored += ["instructions"] if body.instructions else []
    asked = await Asked(serving, question, with_remark).start()
    response = _Response(asked, question, body, talks, turns, ignored)
    if body.stream:
        return stream_of(response.events(), request.state.request_id)
    await asked.whole(request)
    return JSONResponse(response.whole())
