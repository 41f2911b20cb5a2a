"""The test apps answer as their lists say, and a request runs the same lines each time.

Nothing of requestcov takes part: other tests lean on what is established here.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

import httpx
import pytest

from tests.apps import django_app, starlette_app
from tests.apps.requests import AppRequest


@dataclass
class Ran:
    """What ran of one file: its functions by name, its lines."""

    file: str
    names: set[str] = field(default_factory=set)
    lines: set[tuple[CodeType, int]] = field(default_factory=set)


@contextmanager
def watching(file: str) -> Iterator[Ran]:
    """Everything this thread, and every thread started meanwhile, runs of a file."""
    ran = Ran(file)

    def trace(frame: FrameType, event: str, arg: object) -> Callable[..., Any] | None:
        if frame.f_code.co_filename != file:
            return None
        ran.names.add(frame.f_code.co_name)
        if event == "line":
            ran.lines.add((frame.f_code, frame.f_lineno))
        return trace

    before = sys.gettrace(), threading.gettrace()
    threading.settrace(trace)
    sys.settrace(trace)
    try:
        yield ran
    finally:
        sys.settrace(before[0])
        threading.settrace(before[1])  # type: ignore[arg-type]  # None is what undoes it


Answers = list[tuple[httpx.Response, Ran]]


def through_asgi(app: Any, requests: Sequence[AppRequest], file: str) -> Answers:
    """One after the other, each on an event loop and threads of its own."""

    async def one(request: AppRequest) -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
            return await client.request(request.method, request.path, **request.kwargs)

    answers = []
    for request in requests:
        with watching(file) as ran:
            response = asyncio.run(one(request))
        answers.append((response, ran))
    return answers


def through_wsgi(app: Any, requests: Sequence[AppRequest], file: str) -> Answers:
    """One after the other, in this thread."""
    transport = httpx.WSGITransport(app=app, raise_app_exceptions=False)
    answers = []
    with httpx.Client(transport=transport, base_url="http://app.test") as client:
        for request in requests:
            with watching(file) as ran:
                response = client.request(request.method, request.path, **request.kwargs)
            answers.append((response, ran))
    # asgiref's executor of an async view that raised is in a cycle with the
    # traceback; its thread ends when the cycle is collected.
    gc.collect()
    return answers


def check(send: Callable[[Any, Sequence[AppRequest], str], Answers], app: Any, module: Any) -> None:
    """Every answer as listed, and the second round runs what the first one ran."""
    requests = module.REQUESTS
    # The very first requests import and cache things; the list starts behind them.
    send(app, requests[:1], module.__file__)
    first = send(app, requests, module.__file__)
    again = send(app, requests, module.__file__)
    wrong = []
    for request, (response, ran), (_, second) in zip(requests, first, again, strict=True):
        if response.status_code != request.status or request.has not in response.text:
            wrong.append(f"{request} but {response.status_code} {response.text[:200]}")
        if missing := set(request.marks) - ran.names:
            wrong.append(f"{request} did not run {missing}")
        if ran.lines != second.lines:
            differing = sorted(line for _, line in ran.lines ^ second.lines)
            wrong.append(f"{request} runs lines {differing} only at times")
    assert not wrong, "\n".join(wrong)


def test_django_by_wsgi() -> None:
    """Async views included."""
    check(through_wsgi, django_app.wsgi_application(), django_app)


def test_django_by_asgi() -> None:
    """Sync views included."""
    check(through_asgi, django_app.asgi_application(), django_app)


def test_starlette() -> None:
    """Threads, tasks, background work, streams, mounts and failures."""
    check(through_asgi, starlette_app.make_app(), starlette_app)


def test_every_route_of_the_starlette_app_is_asked_for() -> None:
    """By a request or a websocket of the lists; what is mounted counts by its prefix."""
    known = {r.route for r in starlette_app.REQUESTS} | {w.route for w in starlette_app.WEBSOCKETS}
    for route in starlette_app.make_app().routes:
        assert any(
            name is not None and name.startswith(route.path_format.removesuffix("{path}")) for name in known
        )


def test_every_route_of_the_django_project_is_asked_for() -> None:
    """By a request of the list."""
    known = {r.route for r in django_app.REQUESTS}
    included = {f"/shop/{pattern.pattern}" for pattern in django_app.shop_patterns}
    flat = {f"/{p.pattern}" for p in django_app.urlpatterns if str(p.pattern) != "shop/"}
    flat.remove("/^archive/(?P<year>[0-9]{4})/$")
    assert known - {None} == included | flat | {"/archive/<year>/"}


@pytest.mark.parametrize("socket", starlette_app.WEBSOCKETS, ids=lambda socket: socket.path)
def test_websockets(socket: starlette_app.AppWebsocket) -> None:
    """Each connection gets its answers and its end."""
    coming = [{"type": "websocket.connect"}]
    coming += [{"type": "websocket.receive", "text": text} for text in socket.texts]
    coming += [{"type": "websocket.disconnect", "code": 1000}]
    arriving = iter(coming)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return dict(next(arriving))

    async def send(message: Any) -> None:
        sent.append(dict(message))

    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": socket.path,
        "raw_path": socket.path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "subprotocols": [],
    }
    with watching(starlette_app.__file__) as ran:
        asyncio.run(starlette_app.make_app()(scope, receive, send))
    assert tuple(m["text"] for m in sent if m["type"] == "websocket.send") == socket.answers
    assert [m["code"] for m in sent if m["type"] == "websocket.close"] == [socket.close] * (
        socket.close is not None
    )
    assert set(socket.marks) <= ran.names


def test_a_task_that_outlives_its_request_ends_when_released() -> None:
    """The half before the response's end and the half after it are two functions."""

    async def scenario() -> str:
        app = starlette_app.make_app()
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
            await client.get("/later")
        [(release, task)] = app.state.outliving
        assert not task.done()
        release.set()
        return str(await task)

    assert asyncio.run(scenario()) == "before after"
