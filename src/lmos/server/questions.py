"""REST for questions: retrieve, with the walk if it is wanted, and ask.

Knows bodies, sessions and streams.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import APIRouter, Request, Response

from lmos.reading.answers import Answer
from lmos.search.absence import why_nothing
from lmos.server.access import Allowed
from lmos.server.asking import Asked, Question
from lmos.server.sent import EVENT_STREAM, event, stream_of
from lmos.server.shapes import (
    AskReply,
    AskRequest,
    DifferingAnswer,
    Passage,
    RetrieveReply,
    RetrieveRequest,
    Turn,
    UsageShape,
    as_json,
)
from lmos.server.stores import PROBLEMS, StoreName
from lmos.server.trees import walk_of
from lmos.session import Session

router = APIRouter(prefix="/stores", tags=["questions"], responses=PROBLEMS)


@router.post("/{store}/retrieve", operation_id="retrieve")
async def retrieve(store: StoreName, body: RetrieveRequest, access: Allowed) -> RetrieveReply:
    """Find what a question needs; nothing is generated."""
    config, turns = body.search.to_config(), _pairs(body.turns)

    def find(session: Session) -> RetrieveReply:
        with session.store.snapshot():
            found = session.retrieve(body.question, config, turns)
            return RetrieveReply(
                passages=[Passage.model_validate(each) for each in session.cite(found)],
                reason=None if found.hits else why_nothing(session.store, config),
                walk=walk_of(session.store, found, body.max_kept) if body.explain else None,
            )

    return await access.serving.read(access.to_read(store), find)


@router.post(
    "/{store}/ask",
    operation_id="ask",
    response_model=AskReply,
    responses={200: {"content": {EVENT_STREAM: {}}}},
)
async def ask(
    store: StoreName, body: AskRequest, access: Allowed, request: Request
) -> AskReply | Response:
    """Retrieve and answer; with `stream`, as server-sent events."""
    question = Question(
        access.to_read(store),
        body.question,
        _pairs(body.turns),
        body.search.to_config(),
        min(body.max_new_tokens, access.serving.config.max_answer_tokens),
        body.temperature,
        body.seed,
    )
    asked = await Asked(access.serving, question).start()
    if body.stream:
        return stream_of(_events(asked), request.state.request_id)
    await asked.whole(request)
    return _reply(asked.answer)


async def _events(asked: Asked) -> AsyncIterator[str]:
    passages = [as_json(Passage.model_validate(each)) for each in asked.answer.citations]
    yield event({"passages": passages}, "passages")
    async for piece in asked.pieces():
        yield event({"text": piece}, "text")
    yield event(as_json(_reply(asked.answer)), "answer")


def _reply(answer: Answer) -> AskReply:
    return AskReply(
        answer=answer.text.strip(),
        is_found=answer.is_found,
        confidence=answer.confidence,
        is_calibrated=answer.is_calibrated,
        reason=answer.reason,
        citations=[Passage.model_validate(each) for each in answer.citations],
        differing=DifferingAnswer.all_of(answer),
        timing=answer.timing,
        usage=UsageShape(
            prompt_tokens=answer.num_prompt_tokens, completion_tokens=answer.num_tokens
        ),
    )


def _pairs(turns: list[Turn]) -> list[tuple[str, str]]:
    return [(turn.question, turn.answer) for turn in turns]
