"""The ASGI wrapper (ASGI 3, and 2 for the inner app): translates between the protocol and the recorder.

Laws: the app is awaited in the task the server made, with the server's own
scope, ``receive`` and, where nothing is recorded, ``send``; so it works on any
event loop. ``receive`` is never called. Every message goes on unchanged; what
it means is noted once the server has taken it. No state of a request is kept
here, and nothing is awaited on the way out of a cancelled request. An option
that cannot be used ends the start, whoever makes the wrapper, and when.
"""

from __future__ import annotations

import inspect
import sys
from _queue import Empty, SimpleQueue
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from typing import Any, Unpack

from requestcov import native, routes
from requestcov._entry import Entry
from requestcov.config import Config
from requestcov.errors import ConfigError
from requestcov.exchange import MARKED, MARKER, Exchange, log_failure, open_recorder, several
from requestcov.options import Options
from requestcov.recorder import Recorder
from requestcov.recording import Recording

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[Any]]
Application = Callable[[Scope, Receive, Send], Awaitable[Any]]

FLUSH_SECONDS = 2.0
"""How long the end of the lifespan may wait for records to be written."""

_SHUTDOWN = ("lifespan.shutdown.complete", "lifespan.shutdown.failed")

_SWITCHING = 101


class ASGIMiddleware:
    """An ASGI app that records which lines its requests and websockets run.

    ``app.add_middleware(ASGIMiddleware, sample_rate=0.05)``

    Args:
        app: the ASGI app to wrap, single or double callable; kept as ``.app``.
        config: every option, checked; or
        **options: what differs from the environment and the defaults.

    Raises:
        ConfigError: an option cannot be used; here, at start-up, and never later. Starlette, which calls
            this in the app's first call, is told by a lifespan that fails.
    """

    def __init__(self, app: Application, config: Config | None = None, **options: Unpack[Options]) -> None:
        self.app = app
        self._call = _single_callable(app)
        try:
            self._recorder = open_recorder(self, config, options)
        except ConfigError as refused:
            if not _is_made_by_starlette():
                raise
            self._recorder, self._call = None, partial(_refuse_to_start, refused)
        # Most calls look at nothing else; without a recorder at nothing at all.
        self._known: Mapping[str, Mapping[str, Entry]] = {}
        self._flight: Mapping[Any, None] = {}
        if self._recorder is not None:
            self._known, self._flight = self._recorder.known, self._recorder.flight

    # A real coroutine function: servers take anything else for an ASGI 2 app.
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """Await the app, recorded or not; returns and raises what the app does."""
        if MARKER in scope:
            return await self._call(scope, receive, send)
        try:
            entry = self._known[scope["method"]].get(scope["path"]) if scope["type"] == "http" else None
        except Exception:  # an unknown method, or a scope that lacks something
            entry = None
        # With no second wrapper, and nothing recorded that could be left in the context, there is
        # nobody to tell and nothing to clear.
        if entry is None or ((several or self._flight) and not self._take(scope)):
            return await self._decide(scope, receive, send)
        left = entry.left
        if left <= 0:
            return await self._decide(scope, receive, send)
        entry.left = left - 1  # see Entry.left: counted, and not recorded
        try:
            return await self._call(scope, receive, send)
        except Exception:
            self._note_failed(scope)
            raise

    def _take(self, scope: Scope) -> bool:
        """Mark a call as met; False when the context must be cleared before it goes on."""
        scope[MARKER] = MARKED
        return self._recorder is not None and self._recorder.active.get() is None

    async def _decide(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """Ask the recorder about a request, then await the app."""
        recorder = self._recorder
        kind = scope.get("type")
        if recorder is None:
            return await self._call(scope, receive, send)
        if kind != "http" and kind != "websocket":
            if kind == "lifespan":
                return await _flushing_lifespan(self._call, scope, receive, send, recorder)
            return await self._call(scope, receive, send)
        recording = None
        try:
            scope[MARKER] = MARKED
            method, path = _named(scope)
            recording = recorder.begin(method, path, partial(_header, scope))
        except Exception:
            log_failure("begin a recording")
        if recording is not None:
            return await _recorded(self._call, scope, receive, send, recorder, recording)
        try:
            return await self._call(scope, receive, send)
        except Exception:
            self._note_failed(scope)
            raise

    def _note_failed(self, scope: Scope) -> None:
        """An exception is about to leave the app in a request that is not recorded."""
        try:
            if self._recorder is not None:
                self._recorder.failed(*_named(scope))
        except Exception:
            log_failure("note an exception")


def _is_made_by_starlette() -> bool:
    """Whether the wrapper is made where Starlette and FastAPI make their middleware.

    That is in the app's first call, of the lifespan. Servers take what is raised there for an app that
    knows no lifespan, start, and get the same from each request.
    """
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_name == "build_middleware_stack":
            return True
    return False


async def _refuse_to_start(refused: ConfigError, scope: Scope, receive: Receive, send: Send) -> None:
    """In the app's place: fail its lifespan, which every server heeds; without one, raise the error."""
    if scope["type"] == "lifespan":
        await send({"type": "lifespan.startup.failed", "message": f"requestcov: {refused}"})
    raise refused


def _named(scope: Scope) -> tuple[str, str]:
    """Method, or ``WEBSOCKET``, and path."""
    return scope["method"] if scope["type"] == "http" else "WEBSOCKET", scope["path"]


def _header(scope: Scope, name: str) -> str | None:
    """A request header by its lower-case name; repeats are joined as RFC 9110 §5.3 says."""
    wanted = name.encode("latin-1")
    values = [value for key, value in scope["headers"] if key.lower() == wanted]
    return b", ".join(values).decode("latin-1") if values else None


async def _recorded(
    app: Application, scope: Scope, receive: Receive, send: Send, recorder: Recorder, recording: Recording
) -> Any:
    exchange = Exchange(recorder, recording, routes.from_scope, scope)
    response = _Response(send, exchange)
    halt, entered = exchange.enter(alone=False)
    try:
        value = await app(scope, receive, response.send)
    except BaseException as error:
        halt()
        exchange.leave(entered)
        exchange.end(error)
        raise
    halt()
    exchange.leave(entered)
    exchange.end(partial="aborted" if response.is_cut() else None)
    return value


class _Response:
    """The server's ``send``, observed."""

    __slots__ = ("_exchange", "_send", "_streaming", "_trailers")

    def __init__(self, send: Send, exchange: Exchange) -> None:
        self._send = send
        self._exchange = exchange
        self._streaming = False
        self._trailers = False

    async def send(self, message: Message) -> Any:
        """Forward a message as it is, and note what it said once it is out."""
        status, complete = None, False
        try:
            # Read first: once it is sent the message is the server's.
            status, complete = self._meaning(message)
            self._exchange.note_route()
        except Exception:
            log_failure("read a message")
        value = await self._send(message)
        if status is not None:
            self._streaming = status != _SWITCHING
            self._exchange.note_status(status)
        if complete:
            self._exchange.responded()
        return value

    def is_cut(self) -> bool:
        """Whether an HTTP response was started and not completed, as when a client leaves."""
        return self._streaming and not self._exchange.complete

    def _meaning(self, message: Message) -> tuple[int | None, bool]:
        """The status a message sets, and whether the response is complete with it."""
        match message["type"]:
            case "http.response.start" | "websocket.http.response.start":
                self._trailers = bool(message.get("trailers", False))
                return int(message["status"]), False
            case "http.response.body" | "http.response.zerocopysend" | "websocket.http.response.body":
                return None, not message.get("more_body", False) and not self._trailers
            case "http.response.pathsend":
                return None, not self._trailers
            case "http.response.trailers":
                return None, not message.get("more_trailers", False)
            case "websocket.accept":
                return _SWITCHING, False
            case "websocket.close":
                # Before it was accepted, a close is answered to the client with 403.
                return None if self._exchange.recording.status == _SWITCHING else 403, True
        return None, False


async def _flushing_lifespan(
    app: Application, scope: Scope, receive: Receive, send: Send, recorder: Recorder
) -> Any:
    """The app's lifespan; what is recorded by its end is written before the server hears of it.

    uvicorn and its gunicorn worker end their process without ``atexit``, so this
    is the last code sure to run. It holds the loop up, for a bounded time: no
    requests are left on it, and a wait that is no ``await`` is the same under
    every event loop and adds no point at which the server could cancel the app.
    """
    flushed = False

    def flush() -> None:
        nonlocal flushed
        if not flushed:
            flushed = True
            _flush(recorder)

    async def observed(message: Message) -> Any:
        if message.get("type") in _SHUTDOWN:
            flush()
        return await send(message)

    try:
        return await app(scope, receive, observed)
    finally:
        flush()


def _flush(recorder: Recorder) -> None:
    """Flush in a thread, so that the bound holds whatever a flush has to wait for."""
    done: SimpleQueue[None] = SimpleQueue()

    def run() -> None:
        try:
            recorder.flush(FLUSH_SECONDS)
        except Exception:
            log_failure("flush")
        finally:
            done.put(None)

    try:
        native.start_thread(run)
        done.get(timeout=FLUSH_SECONDS)
    except Empty:
        return  # a sink that hangs; what it has not written is counted
    except Exception:
        log_failure("flush")


def _single_callable(app: Application) -> Application:
    """The app as ASGI 3 calls it, told apart as asgiref does.

    asgiref takes a plain callable that returns a coroutine for an ASGI 2 app;
    decorated ASGI 3 apps are such callables too, so one that cannot be called
    with a scope alone is left as it is.
    """
    if not _is_double_callable(app):
        return app

    async def single(scope: Scope, receive: Receive, send: Send) -> Any:
        return await app(scope)(receive, send)  # type: ignore[call-arg,operator]

    return single


def _is_double_callable(app: Any) -> bool:
    if getattr(app, "_asgi_single_callable", False):
        return False
    if getattr(app, "_asgi_double_callable", False) or inspect.isclass(app):
        return True
    if inspect.iscoroutinefunction(app) or (callable(app) and inspect.iscoroutinefunction(app.__call__)):
        return False
    try:
        inspect.signature(app).bind({})
    except TypeError:
        return False
    except ValueError:
        pass
    return True
