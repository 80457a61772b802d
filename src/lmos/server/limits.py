"""Before a request reaches a route: is it too large, too slow, from where it may come?

Knows bytes, headers and the clock. Knows no route.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lmos.server.problems import Problem, reply_to
from lmos.server.settings import ServerConfig


class Limits:
    """Keeps requests that are too large, too slow, or from foreign web pages from the routes.

    Args:
        app: Answers the others.
        config: The limits.
    """

    def __init__(self, app: ASGIApp, config: ServerConfig) -> None:
        self._app = app
        self._config = config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            self._require_host(headers)
            self._require_origin(headers)
            self._require_size(int(headers.get("content-length") or 0))
        except Problem as problem:
            await reply_to(problem)(scope, receive, send)
            return
        await self._app(scope, self._counted(receive), send)

    def _counted(self, receive: Receive) -> Receive:
        """The body, as long as it is neither too large nor too slow."""
        num_bytes, is_whole = 0, False
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._config.receive_seconds

        async def counted() -> Message:
            nonlocal num_bytes, is_whole
            if is_whole:
                # What comes now is that the client has left, whenever that is.
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise Problem(
                    408,
                    f"expected the whole request within {self._config.receive_seconds:g} s",
                    code="too_slow",
                ) from None
            num_bytes += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            self._require_size(num_bytes)
            return message

        return counted

    def _require_size(self, num_bytes: int) -> None:
        limit = self._config.max_body_bytes
        if num_bytes > limit:
            raise Problem(
                413, f"expected at most {limit:,} bytes; send it in parts", code="too_large"
            )

    def _require_host(self, headers: Headers) -> None:
        """Without keys, a page of somebody else's could otherwise reach us under its own name."""
        host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
        if self._config.hosts is not None and host not in self._config.hosts:
            raise Problem(
                403,
                f"expected to be called as {' or '.join(self._config.hosts)}",
                code="wrong_host",
            )

    def _require_origin(self, headers: Headers) -> None:
        origin = headers.get("origin")
        if origin is None or origin in self._config.origins:
            return
        if urlsplit(origin).netloc != headers.get("host"):
            raise Problem(
                403,
                "web pages of other addresses may not call this server; start it with --origin",
                code="wrong_origin",
            )
