"""The app that many servers serve, by WSGI and by ASGI."""

from __future__ import annotations

from requestcov import ASGIMiddleware, WSGIMiddleware
from tests.network.notes import note, tell_the_end


def work(case):
    total = 0
    if case & 1:
        total += 1
    if case & 2:
        total += 2
    if case & 4:
        total += 4
    if case == 8:
        raise LookupError(case)
    return total


def chunks(case):
    for _ in range(3):
        yield b" "
    yield str(work(case)).encode()


def wsgi_app(environ, start_response):
    case = int(environ["PATH_INFO"].rpartition("/")[2])
    name = note(case)
    if case == 9:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (chunk for part in (chunks(case), [b" ", name]) for chunk in part)
    try:
        status, body = "200 OK", str(work(case)).encode()
    except LookupError:
        status, body = "500 Internal Server Error", b"none"
    body += b" " + name
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return iter([body])


async def asgi_app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                tell_the_end()  # uvicorn ends by a signal, which runs no atexit; ours has flushed by now
                return
    case = int(scope["path"].rpartition("/")[2])
    name = note(case)
    parts, status = [], 200
    try:
        parts = list(chunks(case)) if case == 9 else [str(work(case)).encode()]
    except LookupError:
        status = 500
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b" " + name})


wsgi, asgi = WSGIMiddleware(wsgi_app), ASGIMiddleware(asgi_app)
