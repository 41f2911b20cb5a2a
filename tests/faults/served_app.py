"""An app to which bad things happen under a real server; paths under ``/bare`` go round the wrapper."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
import warnings

from requestcov import ASGIMiddleware, WSGIMiddleware

# CPython 3.12 and later warn of forks beside threads: those are what is under test.
warnings.simplefilter("ignore", DeprecationWarning)


def plain():
    return "plain"


def pid():
    return str(os.getpid())


def hang():
    """Until the worker is ended."""
    try:
        while True:
            time.sleep(0.01)
    except BaseException as error:
        print(f"the app was left by {type(error).__name__}", flush=True)
        raise


def end():
    os._exit(7)  # gunicorn takes 3 and 4 for an app that cannot be loaded, and gives up


def only_in_a_child():
    return "child"


def fork():
    """The child runs on inside the request for a while, and ends."""
    child = os.fork()
    if child == 0:
        only_in_a_child()
        os._exit(0)
    return f"child ended with {os.waitpid(child, 0)[1]}"


def process():
    child = multiprocessing.get_context("fork").Process(target=only_in_a_child)
    child.start()
    child.join(20)
    return f"process ended with {child.exitcode}"


def stall():
    """The longest that the hub kept a greenlet from running, in seconds."""
    worst = 0.0
    for _ in range(150):
        before = time.monotonic()
        time.sleep(0.002)
        worst = max(worst, time.monotonic() - before - 0.002)
    return str(worst)


ROUTES = {"/" + work.__name__: work for work in (plain, pid, hang, end, fork, process, stall)}


def answer(environ, start_response):
    body = ROUTES[environ["PATH_INFO"].removeprefix("/bare")]().encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return iter([body])


wrapped = WSGIMiddleware(answer)


def wsgi(environ, start_response):
    app = answer if environ["PATH_INFO"].startswith("/bare") else wrapped
    return app(environ, start_response)


async def answer_asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body = ROUTES[scope["path"].removeprefix("/bare")]().encode()
    await asyncio.sleep(0)
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


wrapped_asgi = ASGIMiddleware(answer_asgi)


async def asgi(scope, receive, send):
    app = answer_asgi if scope.get("path", "").startswith("/bare") else wrapped_asgi
    await app(scope, receive, send)
