"""An ASGI app that answers in every way the protocol allows, on asyncio and on trio."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio

from requestcov import current as current_recording

TEXT = (b"content-type", b"text/plain")

log: list[str] = []
"""What ran after the responses since it was last read."""


def start(status: int = 200, *headers: tuple[bytes, bytes], **more: Any) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": [TEXT, *headers], **more}


def body(data: bytes = b"", more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def sending(*messages: dict[str, Any]) -> Callable[..., Awaitable[Any]]:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    return answer


async def echo(scope: Any, receive: Any, send: Any) -> None:
    data, more = b"", True
    while more:
        message = await receive()
        data += message.get("body", b"")
        more = message.get("more_body", False)
    await send(start(201, (b"content-length", str(len(data)).encode())))
    await send(body(data))


async def background(scope: Any, receive: Any, send: Any) -> None:
    await send(start(200, (b"content-length", b"4")))
    await send(body(b"done"))
    await anyio.sleep(0)
    log.append("background")


async def in_worker_thread(scope: Any, receive: Any, send: Any) -> None:
    inside = await anyio.to_thread.run_sync(lambda: "in a thread")
    await send(start())
    await send(body(inside.encode()))


async def raises(scope: Any, receive: Any, send: Any) -> None:
    raise ValueError("the app's own")


async def raises_midway(scope: Any, receive: Any, send: Any) -> None:
    await send(start())
    await send(body(b"first", True))
    raise ValueError("the app's own")


async def returns_a_value(scope: Any, receive: Any, send: Any) -> str:
    """uvicorn reports this."""
    await send(start())
    await send(body(b"x"))
    return "something"


async def path_sent(scope: Any, receive: Any, send: Any) -> None:
    extensions = scope.get("extensions") or {}
    await send(start(200, (b"content-length", b"4")))
    if "http.response.pathsend" not in extensions:
        await send(body(b"file"))
        return
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "x")
        path.write_bytes(b"file")
        await send({"type": "http.response.pathsend", "path": str(path)})


async def trailers(scope: Any, receive: Any, send: Any) -> None:
    known = "http.response.trailers" in (scope.get("extensions") or {})
    await send(start(trailers=True) if known else start())
    await send(body(b"with trailers"))
    if known:
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": False})


async def log_and_clear(scope: Any, receive: Any, send: Any) -> None:
    text = ",".join(log).encode()
    log.clear()
    await sending(start(200, (b"content-length", str(len(text)).encode())), body(text))(scope, receive, send)


async def recording(scope: Any, receive: Any, send: Any) -> None:
    state = str(current_recording() is not None).encode()
    await sending(start(200, (b"content-length", str(len(state)).encode())), body(state))(
        scope, receive, send
    )


async def scope_type(scope: Any, receive: Any, send: Any) -> None:
    text = f"{type(scope).__name__} {scope['path']} {scope['root_path']} {scope.get('state')}"
    await sending(start(), body(text.encode()))(scope, receive, send)


ANSWERS: dict[str, Callable[..., Awaitable[Any]]] = {
    "/one": sending(start(200, (b"content-length", b"3")), body(b"one")),
    "/chunked": sending(start(), body(b"one, ", True), body(b"", True), body(b"two")),
    "/empty": sending(start(), body()),
    "/no-content": sending(start(204), body()),
    "/not-modified": sending(start(304), body()),
    "/not-found": sending(start(404), body(b"no")),
    "/echo": echo,
    "/background": background,
    "/thread": in_worker_thread,
    "/raises": raises,
    "/raises-midway": raises_midway,
    "/returns": returns_a_value,
    "/silent": sending(),
    "/started-only": sending(start()),
    "/body-first": sending(body(b"x")),
    "/twice": sending(start(), body(b"x"), start(), body(b"y")),
    "/twice-started": sending(start(), start(500), body(b"x")),
    "/unknown-message": sending(start(), {"type": "no.such"}, body(b"x")),
    "/pathsend": path_sent,
    "/trailers": trailers,
    "/log": log_and_clear,
    "/recording": recording,
    "/scope": scope_type,
}


async def echo_socket(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    if scope["path"] == "/rejected":
        await send({"type": "websocket.close", "code": 1008})
        return
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": f"{message['text']} {current_recording() is not None}"})


async def bare(scope: Any, receive: Any, send: Any) -> Any:
    """The app itself."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            kind = message["type"].partition(".")[2]
            if kind == "startup":
                scope.get("state", {})["started"] = "yes"
            print(f"lifespan {kind}", flush=True)
            await send({"type": f"lifespan.{kind}.complete"})
            if kind == "shutdown":
                return None
    if scope["type"] == "websocket":
        return await echo_socket(scope, receive, send)
    return await ANSWERS[scope["path"]](scope, receive, send)
