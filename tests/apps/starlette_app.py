"""A Starlette application with every way of running work that requests have.

Coroutines, worker threads, child tasks that end before and after their
parent, background tasks, streams, websockets, mounts, middleware and
exceptions. Whatever a request runs depends on that request alone, so the same
request runs the same lines every time.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, Router, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.apps.requests import AppRequest

tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="none")


class Stamp:
    """Middleware of the app's own: its lines run for every request, around the endpoint's."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        tenant.set("shop")

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-stamp", b"1")]
            await send(message)

        await self.app(scope, receive, stamped)


async def plain(request: Request) -> Response:
    name = request.query_params.get("name")
    if name:
        return PlainTextResponse(f"hello {name}")
    return PlainTextResponse("hello")


def threaded(request: Request) -> Response:
    # Starlette runs a plain function in a worker thread, in a copy of the context.
    number = request.path_params["number"]
    total = 0
    for step in range(number):
        total += weigh(step)
    return JSONResponse({"total": total, "tenant": tenant.get()})


def weigh(step: int) -> int:
    if step % 2:
        return step
    return 0


async def pooled(request: Request) -> Response:
    before = tenant.get()
    total = await run_in_threadpool(heavy, request.path_params["number"])
    return JSONResponse({"total": total, "tenant": before})


def heavy(number: int) -> int:
    total = 0
    while number:
        number -= 1
        total += number
    return total


async def to_thread(request: Request) -> Response:
    first = await asyncio.to_thread(heavy, 3)
    second = await asyncio.to_thread(light)
    return JSONResponse({"total": first + second})


def light() -> int:
    return 1


async def children(request: Request) -> Response:
    number = request.path_params["number"]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(child(step)) for step in range(number)]
    return JSONResponse({"results": [task.result() for task in tasks]})


async def child(step: int) -> int:
    await asyncio.sleep(0)
    if step == 0:
        return 0
    return await grandchild(step)


async def grandchild(step: int) -> int:
    task = asyncio.create_task(leaf(step))
    return await task


async def leaf(step: int) -> int:
    await asyncio.sleep(0)
    return step * 10


async def raced(request: Request) -> Response:
    # The slower child is cancelled in the middle: its handler belongs to the request too.
    slow = asyncio.create_task(never())
    quick = asyncio.create_task(leaf(1))
    await asyncio.wait([slow, quick], return_when=asyncio.FIRST_COMPLETED)
    slow.cancel()
    done = await asyncio.gather(slow, quick, return_exceptions=True)
    return JSONResponse([type(done[0]).__name__, done[1]])


async def never() -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        tidy()
        raise


def tidy() -> None:
    tenant.get()


async def background(request: Request) -> Response:
    tasks = BackgroundTasks()
    tasks.add_task(mail, "async")
    tasks.add_task(archive, "sync")
    return PlainTextResponse("accepted", 202, background=tasks)


async def mail(kind: str) -> str:
    await asyncio.sleep(0)
    return f"mail {kind}"


def archive(kind: str) -> str:
    if kind == "sync":
        return "archived"
    return "kept"


async def background_fails(request: Request) -> Response:
    return PlainTextResponse("accepted", 202, background=BackgroundTask(failing_task))


async def failing_task() -> None:
    raise RuntimeError("after the response")


async def stream(request: Request) -> Response:
    return StreamingResponse(chunks(request.path_params["number"]), media_type="text/plain")


async def chunks(number: int) -> AsyncIterator[str]:
    try:
        for step in range(number):
            await asyncio.sleep(0)
            yield chunk(step)
    finally:
        tidy()


def chunk(step: int) -> str:
    if step == 0:
        return "first\n"
    return f"chunk {step}\n"


async def stream_sync(request: Request) -> Response:
    # Starlette takes each step of a plain generator in a worker thread.
    return StreamingResponse(steps(request.path_params["number"]), media_type="text/plain")


def steps(number: int) -> Iterator[str]:
    for step in range(number):
        yield chunk(step)
    yield "end\n"


async def stream_fails(request: Request) -> Response:
    return StreamingResponse(broken_chunks(), media_type="text/plain")


async def broken_chunks() -> AsyncIterator[str]:
    yield chunk(0)
    raise RuntimeError("in the middle of a stream")


async def broken(request: Request) -> Response:
    number = request.path_params["number"]
    return PlainTextResponse(str(10 // number))


def broken_thread(request: Request) -> Response:
    raise LookupError("in a worker thread")


async def refused(request: Request) -> Response:
    raise HTTPException(418, "a teapot")


async def handled(request: Request) -> Response:
    raise KeyError("known")


async def on_key_error(request: Request, error: Exception) -> Response:
    return PlainTextResponse(f"no {error}", 422)


async def body(request: Request) -> Response:
    size = 0
    async for part in request.stream():
        size += len(part)
    return JSONResponse({"size": size})


async def later(request: Request) -> Response:
    # A task that outlives its request: what it runs after the end belongs to no record.
    release = asyncio.Event()
    task = asyncio.create_task(outliving(release))
    await asyncio.sleep(0)
    request.app.state.outliving.append((release, task))
    return PlainTextResponse("started")


async def outliving(release: asyncio.Event) -> str:
    kind = before_the_end()
    await release.wait()
    return kind + after_the_end()


def before_the_end() -> str:
    return "before "


def after_the_end() -> str:
    return "after"


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            text = await websocket.receive_text()
            await websocket.send_text(await asyncio.to_thread(shout, text))
    except WebSocketDisconnect:
        tidy()


def shout(text: str) -> str:
    return text.upper()


async def closed(websocket: WebSocket) -> None:
    await websocket.close(4403)


async def mounted(request: Request) -> Response:
    return PlainTextResponse(f"item {request.path_params['item']}")


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """An ASGI application of its own, mounted."""
    if scope["path"].endswith("/empty"):
        response: Response = Response(status_code=204)
    else:
        response = PlainTextResponse("bare")
    await response(scope, receive, send)


def make_app() -> Starlette:
    """A fresh application; ``app.state.outliving`` holds (event, task) pairs of ``/later``."""
    inner: Callable[[Scope, Receive, Send], Awaitable[None]] = Router(
        [Route("/items/{item}", mounted), Mount("/deep", routes=[Route("/items/{item}", mounted)])]
    )
    app = Starlette(
        routes=[
            Route("/", plain),
            Route("/threaded/{number:int}", threaded),
            Route("/pooled/{number:int}", pooled),
            Route("/to-thread", to_thread),
            Route("/children/{number:int}", children),
            Route("/raced", raced),
            Route("/background", background, methods=["POST"]),
            Route("/background-fails", background_fails, methods=["POST"]),
            Route("/stream/{number:int}", stream),
            Route("/stream-sync/{number:int}", stream_sync),
            Route("/stream-fails", stream_fails),
            Route("/broken/{number:int}", broken),
            Route("/broken-thread", broken_thread),
            Route("/refused", refused),
            Route("/handled", handled),
            Route("/body", body, methods=["PUT"]),
            Route("/later", later),
            WebSocketRoute("/echo/{room}", echo),
            WebSocketRoute("/closed", closed),
            Mount("/inner", inner),
            Mount("/bare", bare),
        ],
        middleware=[Middleware(Stamp)],
        exception_handlers={KeyError: on_key_error},
    )
    app.state.outliving = []
    return app


def _get(path: str, route: str | None, has: str = "", status: int = 200, *marks: str) -> AppRequest:
    return AppRequest("GET", path, {}, status, route, has, marks)


REQUESTS: tuple[AppRequest, ...] = (
    _get("/", "/", "hello", 200, "plain", "stamped"),
    AppRequest("GET", "/", {"params": {"name": "you"}}, 200, "/", "hello you", ("plain",)),
    AppRequest("HEAD", "/", {}, 200, "/", "", ("plain",)),
    _get("/threaded/0", "/threaded/{number}", '"total":0,"tenant":"shop"', 200, "threaded"),
    _get("/threaded/4", "/threaded/{number}", '"total":4', 200, "threaded", "weigh"),
    _get("/pooled/5", "/pooled/{number}", '"total":10,"tenant":"shop"', 200, "pooled", "heavy"),
    _get("/to-thread", "/to-thread", '"total":4', 200, "to_thread", "heavy", "light"),
    _get("/children/1", "/children/{number}", "[0]", 200, "children", "child"),
    _get("/children/3", "/children/{number}", "[0,10,20]", 200, "child", "grandchild", "leaf"),
    _get("/raced", "/raced", '["CancelledError",10]', 200, "raced", "never", "tidy", "leaf"),
    AppRequest("POST", "/background", {}, 202, "/background", "accepted", ("background", "mail", "archive")),
    AppRequest("GET", "/background", {}, 405, "/background"),
    AppRequest("POST", "/background-fails", {}, 202, "/background-fails", "accepted", ("failing_task",)),
    _get("/stream/3", "/stream/{number}", "first\nchunk 1\nchunk 2\n", 200, "chunks", "chunk", "tidy"),
    _get("/stream/0", "/stream/{number}", "", 200, "chunks", "tidy"),
    _get("/stream-sync/2", "/stream-sync/{number}", "first\nchunk 1\nend", 200, "steps", "chunk"),
    _get("/stream-fails", "/stream-fails", "first", 200, "broken_chunks", "chunk"),
    _get("/broken/5", "/broken/{number}", "2", 200, "broken"),
    _get("/broken/0", "/broken/{number}", "", 500, "broken"),
    _get("/broken-thread", "/broken-thread", "", 500, "broken_thread"),
    _get("/refused", "/refused", "a teapot", 418, "refused"),
    _get("/handled", "/handled", "no 'known'", 422, "handled", "on_key_error"),
    AppRequest("PUT", "/body", {"content": b"x" * 1000}, 200, "/body", "1000", ("body",)),
    _get("/later", "/later", "started", 200, "later", "outliving", "before_the_end"),
    _get("/inner/items/7", "/inner/items/{item}", "item 7", 200, "mounted"),
    _get("/inner/deep/items/8", "/inner/deep/items/{item}", "item 8", 200, "mounted"),
    _get("/inner/nothing", "/inner/{path}", "Not Found", 404),
    _get("/bare/", "/bare/{path}", "bare", 200, "bare"),
    _get("/bare/empty", "/bare/{path}", "", 204, "bare"),
    _get("/nowhere", None, "Not Found", 404),
)


@dataclass(frozen=True)
class AppWebsocket:
    """One connection: the texts to send, those that come back, and how the app ends it."""

    path: str
    texts: tuple[str, ...]
    answers: tuple[str, ...]
    route: str
    close: int | None
    marks: tuple[str, ...]


WEBSOCKETS: tuple[AppWebsocket, ...] = (
    AppWebsocket("/echo/1", ("a", "b"), ("A", "B"), "/echo/{room}", None, ("echo", "shout", "tidy")),
    AppWebsocket("/echo/2", (), (), "/echo/{room}", None, ("echo", "tidy")),
    AppWebsocket("/closed", (), (), "/closed", 4403, ("closed",)),
)
