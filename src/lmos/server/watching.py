"""What an operator sees: metrics for Prometheus, and a line of JSON for each request.

Counts, times, routes and ids; never a text, a question or the name of a source. Knows no stores.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lmos.server.lanes import Lane
from lmos.server.pool import StorePool

log = logging.getLogger("lmos.server")
_UNKNOWN_ROUTE = "none"
_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Numbers since the server started, and as they are now.

    Args:
        pool: Its stores are counted.
        lanes: Their work is counted.
    """

    def __init__(self, pool: StorePool, lanes: list[Lane]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "lmos_requests",
            "Requests that were answered.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "lmos_request_seconds",
            "Seconds from a request to the last byte of its answer.",
            ["route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._answers = Counter(
            "lmos_answers",
            "Questions that were answered: found, not_found, or stopped by the client.",
            ["outcome"],
            registry=self._registry,
        )
        self._tokens = Counter(
            "lmos_tokens", "Tokens that were read or said.", ["kind"], registry=self._registry
        )
        self._added = Counter(
            "lmos_added_characters", "Characters that were added.", registry=self._registry
        )
        open_stores = Gauge("lmos_open_stores", "Stores that are open.", registry=self._registry)
        open_stores.set_function(lambda: pool.num_open)
        inside = Gauge(
            "lmos_lane_requests",
            "Requests that are served or wait, by the kind of work.",
            ["lane"],
            registry=self._registry,
        )
        refused = Gauge(
            "lmos_lane_refused",
            "Requests that were told to come again, by the kind of work.",
            ["lane"],
            registry=self._registry,
        )
        for lane in lanes:
            inside.labels(lane.name).set_function(partial(getattr, lane, "num_inside"))
            refused.labels(lane.name).set_function(partial(getattr, lane, "num_refused"))

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request that was answered."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_answer(self, outcome: str, num_read: int, num_said: int) -> None:
        """A question that was answered, or whose asker left."""
        self._answers.labels(outcome).inc()
        self._tokens.labels("read").inc(num_read)
        self._tokens.labels("said").inc(num_said)

    def count_characters(self, number: int) -> None:
        """Characters that were added."""
        self._added.inc(number)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)


class Watch:
    """Gives each request an id, and tells of it when it is over.

    Args:
        app: Answers the requests.
        metrics: Counts them.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        start, status = time.perf_counter(), 499

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"x-request-id", request_id.encode()))
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            self._tell(scope, request_id, status, time.perf_counter() - start)

    def _tell(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        # The route, not the path: who asks for what is not there must not fill the memory.
        route = getattr(scope.get("route"), "path", _UNKNOWN_ROUTE)
        method = scope["method"] if route != _UNKNOWN_ROUTE else "any"
        self._metrics.count_request(method, route, status, seconds)
        state: dict[str, Any] = scope["state"]
        tell(
            "request",
            request=request_id,
            method=scope["method"][:16],
            route=route,
            status=status,
            seconds=round(seconds, 4),
            store=state.get("store"),
            key=state.get("key"),
        )


def tell(event: str, **values: Any) -> None:
    """One line of the log."""
    log.info(json.dumps({"time": round(time.time(), 3), "event": event, **values}))


def tell_failure(request_id: str | None, error: BaseException) -> None:
    """What nobody expected: its kind and where it came from, without what it says."""
    places, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    line = {"time": round(time.time(), 3), "event": "failure", "request": request_id}
    log.error(json.dumps({**line, "kind": type(error).__name__, "trace": places[-12:]}))
