"""The collector as an ASGI app: who may ask, what is answered, and what is logged of it.

Laws: a batch is acknowledged after its COMMIT; every answer but the metrics is JSON, and a
refusal one sentence; whatever is sent, no answer is a 5xx but 503, which means that the same
request may be taken later.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from requestcov.server.binding import is_loopback, require_tokens
from requestcov.server.collector.body import Bodies, Gone, Incoming, check_headers
from requestcov.server.collector.ending import on_ending
from requestcov.server.collector.keeping import Keeper, Limits
from requestcov.server.collector.metrics import CONTENT_TYPE, Metrics
from requestcov.server.collector.openapi import description
from requestcov.server.collector.quota import Quota
from requestcov.server.collector.refusals import Refusal, later
from requestcov.server.settings import Settings
from requestcov.server.tokens import bearer
from requestcov.sinks.sqlite import SqliteSink
from requestcov.wire import PATH

_log = logging.getLogger("requestcov.collector")

BUSY_SECONDS = 2.0
"""How long a transaction waits for another process's, before batches are sent back with 503."""

ROOM = 256_000_000
"""Bytes of the bodies that one process reads or has waiting."""

READY_SECONDS = 2.0
READY_EVERY = 1.0
"""How long /readyz waits for the store, and how long its answer holds: anybody may ask it."""

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="requestcov"'}

Endpoint = Callable[[Request], Awaitable[Response]]


def app(settings: Settings, path: str) -> Starlette:
    """The collector, without its guard.

    Args:
        path: of the SQLite store.

    Raises:
        ConfigError: a token cannot be used, or one is needed.
    """
    collector = Collector(settings, path)
    inner = Starlette(
        routes=[
            Route(path, collector.answering(path, answer), methods=["POST" if path == PATH else "GET"])
            for path, answer in collector.routes()
        ],
        lifespan=collector.lifespan,
        exception_handlers={HTTPException: collector.astray},  # type: ignore[dict-item]
    )
    inner.router.redirect_slashes = False
    return inner


class Collector:
    """One process of the collector: its parts, and an answer for each path."""

    def __init__(self, settings: Settings, path: str) -> None:
        self._write = settings.writers()
        self._read = settings.readers()
        require_tokens(settings.bind_host, self._write, "write")
        self._open = not self._write and not self._read
        self.metrics = Metrics()
        self._bodies = Bodies(settings.max_body, settings.body_timeout, ROOM)
        self._keeper = Keeper(
            SqliteSink(path, name=path, busy_seconds=BUSY_SECONDS),
            Limits(settings.max_document, settings.max_records),
            settings.max_waiting,
            Quota(f"{path}.quota", settings.daily_quota) if settings.daily_quota else None,
            self.metrics.committed,
        )
        self._checked: tuple[float, Refusal | None] = (0.0, None)
        self._description = description(settings)

    @contextlib.asynccontextmanager
    async def lifespan(self, inner: Starlette) -> AsyncIterator[None]:
        """From the first request to the last: the keeper's thread, and what a signal hastens."""
        self._keeper.start()
        try:
            with on_ending(self._hasten):
                yield
        finally:
            self._keeper.close()

    def routes(self) -> list[tuple[str, Endpoint]]:
        """What answers on which path: batches by POST, all others by GET."""
        return [
            (PATH, self.batches),
            ("/healthz", self.alive),
            ("/readyz", self.ready),
            ("/metrics", self.numbers),
            ("/openapi.json", self.described),
        ]

    def _hasten(self) -> None:
        self._keeper.refuse_new()
        self._bodies.hurry()

    def answering(self, path: str, answer: Endpoint) -> Endpoint:
        """What answers on a path: also with refusals, counted and logged."""

        async def endpoint(request: Request) -> Response:
            started = time.perf_counter()
            request.state.incoming = incoming = Incoming(request.receive)
            try:
                response = await answer(request)
            except Refusal as refusal:
                if request.method == "POST":
                    await _close_unless_read(request, incoming, refusal)
                response = refusal.response()
            except Gone:
                response = Response(status_code=499)  # Nobody reads it.
            self._note(path, request, response, time.perf_counter() - started)
            return response

        return endpoint

    async def astray(self, request: Request, error: HTTPException) -> Response:
        """Answer a path or a method that is none of ours."""
        said = {404: "There is nothing here.", 405: "This path does not take this method."}
        refusal = Refusal(error.status_code, said.get(error.status_code, "No."), error.headers)
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            await _close_unless_read(request, Incoming(request.receive), refusal)
        response = refusal.response()
        self._note("other", request, response, 0.0)
        return response

    async def batches(self, request: Request) -> Response:
        """Keep a batch."""
        token = self._allowed(request, write=True)
        headers = request.headers
        check_headers(headers)
        body = await self._bodies.read(request.state.incoming, headers)
        self.metrics.received(len(body))
        try:
            kept = await self._keeper.keep(body, headers, token)
        finally:
            self._bodies.release(body)
        self.metrics.kept(kept.added, kept.size)
        new, known, late = kept.added
        request.state.said = f" records={new + known + late} new={new} bytes={len(body)} token={token or '-'}"
        return JSONResponse(
            {"id": kept.id, "records": new + known + late, "new": new, "known": known, "late": late}
        )

    async def alive(self, request: Request) -> Response:
        """Whether the process answers."""
        return JSONResponse({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """Whether a batch that came now would be kept."""
        when, refusal = self._checked
        if time.monotonic() - when > READY_EVERY:
            try:
                await self._keeper.check(READY_SECONDS)
            except Refusal as found:
                refusal = found
            else:
                refusal = None
            self._checked = time.monotonic(), refusal
        if refusal is not None:
            raise later(refusal.status, refusal.sentence, 1)
        return JSONResponse({"status": "ready"})

    async def numbers(self, request: Request) -> Response:
        """The metrics."""
        self._allowed(request, write=False)
        self.metrics.waiting(self._keeper.waiting)
        return Response(self.metrics.text(), media_type=CONTENT_TYPE)

    async def described(self, request: Request) -> Response:
        """The OpenAPI description."""
        return JSONResponse(self._description)

    def _allowed(self, request: Request, *, write: bool) -> str:
        """The name of the token that a request gives; ``""`` where none is asked for.

        Raises:
            Refusal: it gives none that is known.
        """
        tokens = self._write if write else self._read
        if not (tokens if write else not self._open):
            # Without a token only this machine is heard, whatever the server was told to listen on.
            if request.client is not None and is_loopback(request.client.host):
                return ""
            raise Refusal(401, "Other machines need a token, and none is set here.", CHALLENGE)
        given = request.scope["headers"]
        values = [value for name, value in given if name == b"authorization"]
        name = tokens.find(bearer(values[0])) if len(values) == 1 else None
        if name is None:
            kind = "write" if write else "read"
            other = (self._read if write else self._write).find(bearer(values[0])) if values else None
            if other is not None:
                raise Refusal(403, f"This token is none to {kind} with.")
            raise Refusal(401, f"Send a {kind} token: Authorization: Bearer TOKEN.", CHALLENGE)
        return name

    def _note(self, path: str, request: Request, response: Response, seconds: float) -> None:
        self.metrics.responses.labels(path, str(response.status_code)).inc()
        if path in ("/healthz", "/readyz", "/metrics") and response.status_code == 200:
            return
        _log.info(
            "%s %s %d %.1f ms%s",
            request.method[:20],
            path if path != "other" else "(no such path)",
            response.status_code,
            seconds * 1000,
            getattr(request.state, "said", ""),
        )


async def _close_unless_read(request: Request, incoming: Incoming, refusal: Refusal) -> None:
    """Read a refused body, as far as that is no burden, else close the connection after the answer."""
    if incoming.whole:
        return
    # A sender that waits to hear whether it shall send the body, or is too slow, is not waited for.
    waits = request.headers.get("expect") is not None
    if waits or refusal.status in (408, 503) or not await incoming.drain():
        refusal.headers["Connection"] = "close"
