"""The wrapper where people put it, with the real recorder and a real file of records."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import mimetypes
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import blockbuster
import httpx
import pytest
from asgiref.testing import ApplicationCommunicator
from fastapi import FastAPI
from flask import Flask, Response
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

import requestcov
from requestcov import ASGIMiddleware, WSGIMiddleware
from tests.wrappers.fakes import FakeRecorder, accept, wrap_asgi

HERE = str(Path(__file__).parent)


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """Records every request, of the code in this folder, in a file."""
    return {
        "sample_rate": 1.0,
        "max_per_second": 0,
        "source": [HERE],
        "sinks": [f"file:///{tmp_path}/records.jsonl"],
        "exclude": (),
    }


@pytest.fixture
def read(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """The records that are kept, once all are."""

    def records() -> list[dict[str, Any]]:
        assert requestcov.flush(10.0)
        lines = [json.loads(line) for line in Path(tmp_path, "records.jsonl").read_text().splitlines()]
        return [line for line in lines if "method" in line]

    return records


@pytest.fixture
def silent(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fails when requestcov had to complain: an error of ours was kept from the app."""
    caplog.set_level(logging.WARNING, "requestcov")
    yield
    assert [record.getMessage() for record in caplog.records if record.name == "requestcov"] == []


async def ask(app: Any, *paths: str) -> list[httpx.Response]:
    """The answers of an ASGI app, one request after the other."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        return [await client.get(path) for path in paths]


def lines_of(record: dict[str, Any]) -> str:
    return ";".join(file["lines"] for path, file in record["files"].items() if path.endswith("frameworks.py"))


@pytest.mark.usefixtures("silent")
def test_a_flask_app_takes_the_wrapper_as_its_wsgi_app(options: Any, read: Any) -> None:
    app = Flask("shop")

    @app.get("/orders/<int:number>")
    def order(number: int) -> str:
        return f"order {number}"

    @app.get("/stream")
    def stream() -> Response:
        return Response(str(part) for part in range(3))

    app.wsgi_app = WSGIMiddleware(app.wsgi_app, **options)  # type: ignore[method-assign]
    client = app.test_client()
    # buffered: the client reads and closes each response at once, as a server does.
    assert client.get("/orders/7", buffered=True).text == "order 7"
    assert client.get("/stream", buffered=True).text == "012"
    assert client.get("/absent", buffered=True).status_code == 404
    found = read()
    assert [record["route"] for record in found] == ["/orders/<int:number>", "/stream", "(not found)"]
    assert [record["status"] for record in found] == [200, 200, 404]
    first = order.__code__.co_firstlineno + 2
    assert lines_of(found[0]) == str(first)
    assert all(record["partial"] is None for record in found)


@pytest.mark.usefixtures("silent")
def test_a_fastapi_app_takes_the_wrapper_as_middleware(options: Any, read: Any) -> None:
    app = FastAPI()

    @app.get("/orders/{number}")
    def order(number: int) -> dict[str, int]:
        return {"order": number}

    @app.get("/broken")
    async def broken() -> None:
        raise ValueError("the app's own")

    app.add_middleware(ASGIMiddleware, **options)
    order_answer, broken_answer = asyncio.run(ask(app, "/orders/7", "/broken"))
    assert order_answer.json() == {"order": 7}
    assert broken_answer.status_code == 500
    found = read()
    assert [record["route"] for record in found] == ["/orders/{number}", "/broken"]
    assert [record["error"] for record in found] == [None, "builtins.ValueError"]
    assert lines_of(found[0]) == str(order.__code__.co_firstlineno + 2)


def starlette(directory: Path) -> Starlette:
    """A handler for each way in which Starlette runs code."""

    async def plain(request: Any) -> JSONResponse:
        return JSONResponse({"path": request.url.path})

    def in_thread(request: Any) -> JSONResponse:
        return JSONResponse("in a thread")

    async def mixed(request: Any) -> JSONResponse:
        return JSONResponse(await run_in_threadpool(lambda: "mixed"))

    async def stream(request: Any) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for part in (b"one, ", b"two"):
                await asyncio.sleep(0)
                yield part

        return StreamingResponse(parts())

    async def background(request: Any) -> JSONResponse:
        async def later() -> None:
            done.append("later")

        return JSONResponse("now", background=BackgroundTask(later))

    async def file(request: Any) -> FileResponse:
        return FileResponse(directory / "served.txt")

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.close()

    done: list[str] = []
    (directory / "served.txt").write_text("served")
    handlers = [plain, in_thread, mixed, stream, background, file]
    routes = [Route(f"/{handler.__name__}/{{number}}", handler) for handler in handlers]
    app = Starlette(routes=[*routes, WebSocketRoute("/socket/{number}", socket)])
    app.state.done = done
    return app


@pytest.mark.usefixtures("silent")
def test_nothing_blocks_the_event_loop_under_starlette(options: Any, read: Any, tmp_path: Path) -> None:
    """blockbuster raises from every blocking call on a loop; Starlette's own tests run under it."""
    inner = starlette(tmp_path)
    app = ASGIMiddleware(inner, **options)
    names = ["plain", "in_thread", "mixed", "stream", "background", "file"]
    paths = [f"/{name}/{number}" for number in (1, 2) for name in (*names, "absent")]

    async def use() -> list[str]:
        lifespan = ApplicationCommunicator(app, {"type": "lifespan", "asgi": {"version": "3.0"}})
        await lifespan.send_input({"type": "lifespan.startup"})
        assert await lifespan.receive_output(10) == {"type": "lifespan.startup.complete"}
        answers = [answer.text for answer in await ask(app, *paths)]
        socket = ApplicationCommunicator(app, {"type": "websocket", "path": "/socket/1", "headers": []})
        await socket.send_input({"type": "websocket.connect"})
        assert (await socket.receive_output(10))["type"] == "websocket.accept"
        await socket.send_input({"type": "websocket.receive", "text": "echo"})
        assert (await socket.receive_output(10))["text"] == "echo"
        await socket.wait(10)
        await lifespan.send_input({"type": "lifespan.shutdown"})
        assert await lifespan.receive_output(10) == {"type": "lifespan.shutdown.complete"}
        await lifespan.wait(10)
        return answers

    mimetypes.init()  # else Starlette's first FileResponse reads files on the loop
    with blockbuster.blockbuster_ctx(), warnings.catch_warnings():
        warnings.simplefilter("error")
        answers = dict(zip(paths, asyncio.run(use()), strict=True))
    assert answers["/stream/2"] == "one, two"
    assert answers["/file/2"] == "served"
    assert inner.state.done == ["later", "later"]
    found = read()
    expected = [f"/{name}/{{number}}" for name in names] + ["(not found)"]
    assert [record["route"] for record in found] == [*expected, *expected, "/socket/{number}"]
    assert (found[-1]["method"], found[-1]["status"]) == ("WEBSOCKET", 101)
    assert lines_of(found[0])
    assert found[4]["background"]


def test_a_stream_ends_quietly_when_its_client_leaves(tmp_path: Path) -> None:
    """Server-sent events go on until the client disconnects."""
    recorder = FakeRecorder()
    sent: list[Any] = []
    enough = asyncio.Event()

    async def events(request: Any) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            while True:
                yield b"data: x\n\n"
                await asyncio.sleep(0)

        return StreamingResponse(parts(), media_type="text/event-stream")

    async def receive() -> dict[str, Any]:
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == 5:
            enough.set()

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/events",
        "query_string": b"",
        "headers": [],
        "asgi": {"version": "3.0", "spec_version": "2.3"},
    }
    asyncio.run(wrap_asgi(Starlette(routes=[Route("/events", events)]), recorder)(scope, receive, send))
    assert len(sent) >= 5
    assert recorder.only.partial == "aborted"
    assert recorder.only.finished == 1
    assert recorder.only.route == "/events"


@pytest.mark.usefixtures("silent")
def test_an_abandoned_body_is_stored_as_such(options: Any, read: Any) -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"one"
        yield b"two"

    wrapped = WSGIMiddleware(app, **options)
    for _ in range(3):
        body: Any = wrapped({"REQUEST_METHOD": "GET", "PATH_INFO": "/x"}, accept)
        next(body)
        del body
        gc.collect()
    assert [record["partial"] for record in read()] == ["abandoned"] * 3


@pytest.mark.usefixtures("silent")
def test_lines_of_every_step_of_a_body_are_recorded_and_nothing_between(options: Any, read: Any) -> None:
    def between() -> int:
        return 1

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b"one"
            yield b"two"

        def close(self) -> None:
            self.closed = True

    def app(environ: Any, start_response: Any) -> Body:
        start_response("200 OK", [])
        return Body()

    body: Any = WSGIMiddleware(app, **options)({"REQUEST_METHOD": "GET", "PATH_INFO": "/x"}, accept)
    for _ in body:
        between()
    body.close()
    first = Body.__iter__.__code__.co_firstlineno
    app_first = app.__code__.co_firstlineno
    (record,) = read()
    assert lines_of(record) == f"{first + 1}-{first + 2},{first + 5},{app_first + 1}-{app_first + 2}"
    assert requestcov.current() is None
