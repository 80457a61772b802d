"""Server-sent events: objects -> the bytes of a stream that stays valid whatever happens.

Knows the format. Does not know what is told.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from fastapi.responses import StreamingResponse

from lmos.errors import LmosError
from lmos.server.problems import Problem, body_of, problem_of
from lmos.server.watching import tell_failure

EVENT_STREAM = "text/event-stream"
# A proxy that gathers what it passes on would make a stream of no use.
_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def event(data: Mapping[str, Any], name: str | None = None) -> str:
    """One event; JSON has no line breaks of its own."""
    head = "" if name is None else f"event: {name}\n"
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n"


def stream_of(events: AsyncIterator[str], request_id: str | None) -> StreamingResponse:
    """A stream of events; one that fails half-way ends with an event that says so."""
    return StreamingResponse(_guarded(events, request_id), 200, _HEADERS, EVENT_STREAM)


async def _guarded(events: AsyncIterator[str], request_id: str | None) -> AsyncIterator[str]:
    try:
        async for each in events:
            yield each
    except (Problem, LmosError) as error:
        problem = error if isinstance(error, Problem) else problem_of(error, "")
        body = body_of(problem.status_code, problem.detail, problem.code, problem.param)
        yield event({"type": "error", **body}, "error")
    except Exception as error:
        tell_failure(request_id, error)
        body = body_of(500, "the server failed; its log says where", "internal_error")
        yield event({"type": "error", **body}, "error")
