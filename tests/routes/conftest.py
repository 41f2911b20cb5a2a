"""A recording in a context variable, as the recorder holds it, and a bare ASGI caller."""

from __future__ import annotations

import asyncio
import contextvars
import warnings
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any

import pytest

from requestcov import routes

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Pyramid's dependencies import modules that are going away
    import pyramid.config  # noqa: F401


@dataclass
class FakeRecording:
    """The one attribute that hooks write to."""

    route: str | None = None


_variable: contextvars.ContextVar[FakeRecording | None] = contextvars.ContextVar("recording", default=None)


@pytest.fixture(autouse=True)
def hooks() -> Iterator[None]:
    """Each test starts and ends without a hook in any framework."""
    routes.uninstall_hooks()
    before = routes.current
    getter = routes._current
    routes.bind(_variable.get)
    yield
    routes.bind(getter)
    routes.uninstall_hooks()
    assert routes._installed == {}
    assert routes.current is before


@pytest.fixture
def recording() -> Iterator[FakeRecording]:
    """The request of this test is recorded."""
    current = FakeRecording()
    token = _variable.set(current)
    yield current
    _variable.reset(token)


Scope = MutableMapping[str, Any]


@dataclass
class Answer:
    """What an ASGI app did with one request."""

    scope: Scope
    status: int | None
    messages: list[MutableMapping[str, Any]]
    at_start: str | None


async def call(
    app: Callable[[Any, Any, Any], Awaitable[None]],
    path: str,
    method: str = "GET",
    *,
    kind: str = "http",
    root_path: str = "",
) -> Answer:
    """One request through an ASGI app, with the scope kept, as the wrapper keeps it."""
    scope: Scope = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": root_path,
        "headers": [(b"host", b"testserver")],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
        "state": {},
        "subprotocols": [],
        "extensions": {},
    }
    if kind == "websocket":
        del scope["method"]
    incoming: list[dict[str, Any]] = (
        [{"type": "http.request", "body": b"", "more_body": False}]
        if kind == "http"
        else [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}]
    )
    answer = Answer(scope, None, [], None)
    finished = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if incoming:
            return incoming.pop(0)
        await finished.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        answer.messages.append(message)
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.at_start = routes.from_scope(scope)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            finished.set()

    await app(scope, receive, send)
    return answer


@pytest.fixture
def ask() -> Callable[..., Answer]:
    """Call an ASGI app once, in a fresh event loop."""

    def run(app: Any, path: str, method: str = "GET", **options: Any) -> Answer:
        routes.install_hooks()
        return asyncio.run(call(app, path, method, **options))

    return run


@dataclass
class WsgiAnswer:
    """What a WSGI app did with one request."""

    environ: dict[str, Any]
    status: str
    body: bytes
    at_start: str | None
    at_end: str | None


@pytest.fixture
def get() -> Callable[..., WsgiAnswer]:
    """Call a WSGI app once; the template is read when the response starts and at the end."""
    from wsgiref.util import setup_testing_defaults

    def run(app: Any, path: str, method: str = "GET", script_name: str = "") -> WsgiAnswer:
        routes.install_hooks()
        environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": path, "SCRIPT_NAME": script_name}
        setup_testing_defaults(environ)
        seen: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            seen["status"] = status
            seen["route"] = routes.from_environ(environ, script_name)
            return lambda data: None

        result = app(environ, start_response)
        try:
            body = b"".join(result)
        finally:
            if hasattr(result, "close"):
                result.close()
        end = routes.from_environ(environ, script_name)
        return WsgiAnswer(environ, seen["status"], body, seen["route"], end)

    return run
