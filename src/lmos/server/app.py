"""The application: all routes, limits and watchers put together.

Knows every part by name. Does not know what they do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import anyio.to_thread
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

from lmos.errors import LmosError
from lmos.server import pages, questions, stores
from lmos.server.access import Access, Allowed, require_key, serving_of
from lmos.server.limits import Limits
from lmos.server.openai import catalogue, chat, embeddings, responses, search
from lmos.server.openai.talks import KeptTalks
from lmos.server.problems import Problem, misfit, problem_of, reply_to
from lmos.server.serving import Serving
from lmos.server.settings import ServerConfig
from lmos.server.shapes import Health
from lmos.server.watching import Watch, tell, tell_failure

_PARTS = (pages, stores, questions, catalogue, chat, responses, search, embeddings)
_ABOUT = """Stores of lmos over HTTP: REST under /stores, and what OpenAI's clients call under /v1.

Every error has the form {"error": {"message", "type", "param", "code"}}.
"""


def make_app(config: ServerConfig) -> FastAPI:
    """The application that serves the stores of a folder.

    Other applications can be mounted on it; what they share lies in `app.state.serving`.

    Args:
        config: Where the stores are, and the limits.

    Raises:
        ConfigError: The file of keys cannot be read.

    Example:
        uvicorn.run(make_app(ServerConfig(Path("stores"))))
    """
    serving = Serving(config)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tell("started", stores=len(serving.pool.names()), has_keys=serving.keys is not None)
        yield
        await anyio.to_thread.run_sync(serving.close)
        tell("stopped")

    app = FastAPI(
        title="lmos",
        version=version("lmos"),
        description=_ABOUT,
        lifespan=lifespan,
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
    )
    app.state.serving = serving
    app.state.talks = KeptTalks()
    for part in _PARTS:
        app.include_router(part.router)
    _add_agents(app)
    _add_watching(app, serving)
    _add_handlers(app, config)
    if config.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=config.origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-Lmos-Store"],
        )
    app.add_middleware(Limits, config=config)
    # The last one added is the first that sees a request.
    app.add_middleware(Watch, metrics=serving.metrics)
    return app


def _add_agents(app: FastAPI) -> None:
    """Let agents in, if the SDK of their protocol is installed."""
    if find_spec("mcp") is None:
        return
    from lmos.server.agents import serve_agent

    @app.post("/mcp", include_in_schema=False)
    async def agents(request: Request, access: Allowed) -> Response:
        return _Answered(access, serve_agent)


class _Answered(Response):
    """An answer that is written by a function of the access and the request."""

    def __init__(self, access: Access, answer: Any) -> None:
        super().__init__()
        self._access = access
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write it."""
        await self._answer(self._access, scope, receive, send)


def _add_watching(app: FastAPI, serving: Serving) -> None:
    @app.get("/healthz", tags=["watching"], operation_id="health")
    async def health() -> Health:
        """Whether the server serves; needs no key."""
        return Health(status="ok", version=app.version)

    @app.get(
        "/metrics",
        tags=["watching"],
        operation_id="metrics",
        response_class=Response,
        responses={
            **stores.PROBLEMS,
            200: {"content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}},
        },
        dependencies=[Depends(serving_of), Depends(require_key)],
    )
    async def metrics() -> Response:
        """Numbers for Prometheus; any key will do."""
        return Response(serving.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _add_handlers(app: FastAPI, config: ServerConfig) -> None:
    @app.exception_handler(HTTPException)
    async def told(_: Request, error: HTTPException) -> Response:
        return reply_to(error)

    @app.exception_handler(LmosError)
    async def meant(request: Request, error: LmosError) -> Response:
        problem = problem_of(error, str(config.folder))
        if problem.status_code >= 500:
            tell_failure(request.state.request_id, error)
        return reply_to(problem)

    @app.exception_handler(RequestValidationError)
    async def misfitting(_: Request, error: RequestValidationError) -> Response:
        return reply_to(misfit(error.errors()))

    @app.exception_handler(Exception)
    async def unmeant(request: Request, error: Exception) -> Response:
        tell_failure(request.state.request_id, error)
        message = f"the server failed; its log says where, for {request.state.request_id}"
        return reply_to(Problem(500, message, code="internal_error"))
