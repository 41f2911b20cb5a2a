"""What a client sends reaches no sink and no log: searched for in the very bytes."""

from __future__ import annotations

import asyncio
import logging
import uuid

import pytest

import requestcov
from requestcov import ASGIMiddleware, WSGIMiddleware
from tests.recorder.conftest import ORDER, until

CANARIES = {
    "query": "canary-in-the-query",
    "cookie": "canary-in-a-cookie",
    "header": "canary-in-a-header",
    "force": "canary-in-the-forcing-header",
    "trace": "canary-in-the-traceparent",
    "state": "canary-in-the-tracestate",
    "body": "canary-in-the-body",
    "answer": "canary-in-the-answer",
    "answer header": "canary-in-a-header-of-the-answer",
    "message": "canary-in-the-message-of-an-exception",
    "user": "canary-in-the-credentials",
    "uuid": str(uuid.uuid4()),
    "mail": "canary.person@example.org",
    "number": "4929123412341234",
    "token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
    "address": "203.0.113.77",
    "port": "54399",
    "host": "canary-host.example",
}

PATHS = [f"/orders/{CANARIES[name]}/items" for name in ("uuid", "mail", "number", "token")]


def failing(bench, path):
    """Every second app fails."""
    bench.shop.order()
    if PATHS.index(path) % 2:
        raise ValueError(CANARIES["message"])


def environ_of(path):
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "RAW_URI": path,
        "QUERY_STRING": f"q={CANARIES['query']}",
        "HTTP_HOST": CANARIES["host"],
        "HTTP_COOKIE": f"session={CANARIES['cookie']}",
        "HTTP_X_SECRET": CANARIES["header"],
        "HTTP_X_REQUESTCOV_FORCE": CANARIES["force"],
        "HTTP_TRACEPARENT": CANARIES["trace"],
        "HTTP_TRACESTATE": CANARIES["state"],
        "HTTP_AUTHORIZATION": CANARIES["user"],
        "HTTP_X_FORWARDED_FOR": CANARIES["address"],
        "REMOTE_ADDR": CANARIES["address"],
        "REMOTE_PORT": CANARIES["port"],
        "REMOTE_USER": CANARIES["user"],
    }


def ask_wsgi(bench, options):
    def app(environ, start_response):
        start_response("200 OK", [("X-Answer", CANARIES["answer header"])])
        failing(bench, environ["PATH_INFO"])
        return [CANARIES["answer"].encode()]

    wrapped = WSGIMiddleware(app, **options)
    for path in PATHS:
        try:
            wrapped(environ_of(path), lambda *args: None)
        except ValueError:
            continue


def ask_asgi(bench, options):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        failing(bench, scope["path"])
        await send({"type": "http.response.body", "body": CANARIES["answer"].encode()})

    async def receive():
        return {"type": "http.request", "body": CANARIES["body"].encode()}

    async def send(message):
        pass

    wrapped = ASGIMiddleware(app, **options)
    for path in PATHS:
        environ = environ_of(path)
        headers = [
            (name[5:].lower().replace("_", "-").encode(), value.encode())
            for name, value in environ.items()
            if name.startswith("HTTP_")
        ]
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": environ["QUERY_STRING"].encode(),
            "headers": headers,
            "client": (CANARIES["address"], int(CANARIES["port"])),
        }
        try:
            asyncio.run(wrapped(scope, receive, send))
        except ValueError:
            continue


@pytest.mark.parametrize("rate", [1.0, 0.0], ids=["recorded", "seen only"])
@pytest.mark.parametrize("ask", [ask_wsgi, ask_asgi])
def test_nothing_of_a_client_is_in_the_bytes_on_disk_or_in_the_log(bench, caplog, ask, rate):
    """The source of this test is not measured, so its texts are not stored as source."""
    caplog.set_level(logging.DEBUG)
    database = bench.directory / "kept" / "records.db"
    options = bench.options(
        sinks=(f"file:///{database.with_suffix('.jsonl')}", f"sqlite:///{database}", "sqlite:////proc/no.db"),
        force_secret="the-secret-that-forces-recordings",
        sample_rate=rate,
        first=0,
    )
    ask(bench, options)
    (recorder,) = requestcov.recorder._recorders.values()
    process = recorder.pipeline._process
    file, store, dead = process.outlets
    until(
        lambda: recorder.flush(0.01) or not (file.changed() or store.changed() or not dead.state().failures)
    )
    requestcov.recorder.close_all(0.1)
    # SQLite takes its side files away when its own thread closes it.
    until(lambda: not any(loop.alive for loop in process.loops))
    kept = {path.name: path.read_bytes() for path in database.parent.iterdir()}
    assert {"records.jsonl", "records.db"} <= set(kept)
    assert (b'"route":"/orders/{' in kept["records.jsonl"]) is bool(rate)
    kept["log"] = caplog.text.encode()
    assert kept["log"], "the sink that cannot be written complains"
    for where, what in kept.items():
        for name, canary in CANARIES.items():
            assert canary.encode() not in what, f"{name} is in {where}"


def test_the_lines_are_there_all_the_same(bench):
    ask_wsgi(bench, bench.options())
    assert requestcov.flush(10.0)
    records = bench.records()
    assert len(records) == len(PATHS)
    assert all(bench.lines(record) >= ORDER for record in records)
    assert {record.error for record in records} == {None, "builtins.ValueError"}
