"""Whatever goes wrong -> one form that OpenAI's clients know, and a status.

Knows errors, and HTTP's words for them. Knows no request.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from lmos.errors import (
    ConfigError,
    DataError,
    LmosError,
    ModelError,
    QueryError,
    SourceNotFound,
    StoreCorrupt,
    StoreEncrypted,
    StoreExists,
    StoreFull,
    StoreLocked,
    StoreMismatch,
    StoreNotFound,
)

_KINDS: tuple[tuple[type[LmosError], int, str], ...] = (
    (SourceNotFound, 404, "source_not_found"),
    (StoreNotFound, 404, "store_not_found"),
    (StoreExists, 409, "store_exists"),
    (StoreLocked, 503, "store_locked"),
    (StoreFull, 507, "store_full"),
    (StoreMismatch, 409, "store_mismatch"),
    (StoreEncrypted, 403, "store_encrypted"),
    (StoreCorrupt, 500, "store_corrupt"),
    (ModelError, 503, "model_unavailable"),
    (QueryError, 400, "bad_question"),
    (DataError, 400, "bad_text"),
    (ConfigError, 400, "bad_option"),
    (LmosError, 500, "failed"),
)
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_LOCKED_SECONDS = 5


class ProblemBody(BaseModel):
    """What went wrong.

    Attributes:
        message: What was expected, what came, what to do.
        type: The kind of error, as OpenAI names kinds.
        param: The part of the request that it is about, if it is about one.
        code: The error itself, for programs.
    """

    message: str
    type: str = Field(examples=["invalid_request_error"])
    param: str | None = None
    code: str | None = Field(default=None, examples=["store_not_found"])


class ProblemReply(BaseModel):
    """The body of every answer that is an error."""

    error: ProblemBody


class Problem(HTTPException):
    """An error with a status that is told to the client as it is."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        retry_seconds: float | None = None,
    ) -> None:
        """Say what is wrong.

        Args:
            status: Of HTTP.
            message: For people.
            code: For programs.
            param: The part of the request that it is about.
            retry_seconds: After which it may be tried again.
        """
        headers = {} if retry_seconds is None else {"Retry-After": str(math.ceil(retry_seconds))}
        if status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        super().__init__(status, message, headers)
        self.code = code
        self.param = param


def problem_of(error: LmosError, folder: str) -> Problem:
    """What lmos raises on purpose, as a client is told it, without the paths of this machine."""
    status, code = next((status, code) for kind, status, code in _KINDS if isinstance(error, kind))
    message = str(error).replace(f"{folder}/", "")
    if isinstance(error, ModelError):
        message = "the model of this store cannot be loaded here; the server's log says more"
    if isinstance(error, StoreEncrypted):
        message = (
            "this store is encrypted, and the server has no key that opens it; it takes one with "
            "lmos serve --key-file"
        )
    retry = _LOCKED_SECONDS if isinstance(error, StoreLocked) else None
    return Problem(status, message, code=code, retry_seconds=retry)


def reply_to(error: HTTPException) -> JSONResponse:
    """The answer that tells an error."""
    code = getattr(error, "code", None) or _phrase(error.status_code)
    param = getattr(error, "param", None)
    return JSONResponse(
        body_of(error.status_code, str(error.detail), code, param),
        error.status_code,
        headers=dict(error.headers or {}),
    )


def body_of(status: int, message: str, code: str, param: str | None = None) -> dict[str, Any]:
    """The error form, as JSON has it."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def misfit(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """A request that has not the form that was expected; never repeats what it said."""
    first = errors[0]
    place = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    if first["type"] == "json_invalid":
        message = f"the body is not JSON: {first['ctx']['error']} at character {first['loc'][-1]}"
        return Problem(400, message, code="bad_json")
    more = "" if len(errors) == 1 else f"; and {len(errors) - 1} more"
    return Problem(400, f"{place}: {first['msg']}{more}", code="bad_request", param=place)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase.lower().replace(" ", "_")
    except ValueError:
        return "error"
