"""Responses and websockets that last for hours, made short by small limits."""

from __future__ import annotations

import asyncio
import time
import tracemalloc

import pytest

import requestcov
from requestcov import ASGIMiddleware, WSGIMiddleware
from tests.recorder.conftest import ORDER, until

MESSAGES = 3000
"""What is still sent after the recording was cut."""


class Stream:
    """An app that sends until told to stop, and does other work once it was cut."""

    def __init__(self, bench):
        self.bench = bench
        self.sent = 0
        self.cut = False

    def step(self):
        self.sent += 1
        return self.bench.shop.parcel() if self.cut else str(self.bench.shop.order())

    async def events(self, scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while self.sent < MESSAGES or not self.cut:
            await send({"type": "http.response.body", "body": self.step().encode(), "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})

    async def websocket(self, scope, receive, send):
        await send({"type": "websocket.accept"})
        while self.sent < MESSAGES or not self.cut:
            await send({"type": "websocket.send", "text": self.step()})
            await asyncio.sleep(0)
        await send({"type": "websocket.close"})

    def generator(self, environ, start_response):
        start_response("200 OK", [])
        while self.sent < MESSAGES or not self.cut:
            yield self.step().encode()


def limits(bench):
    return bench.options(max_duration=0.05, flush_interval=0.01, max_in_flight=1)


def watch(bench, stream):
    """Called after each message: how much memory is used from the cut on, at its least and most."""
    used = []

    def sent():
        if not stream.cut and stream.sent % 20 == 0 and bench.records():
            stream.cut = True
            stream.sent = 0
            tracemalloc.start()
        if stream.cut and stream.sent % 100 == 99:
            used.append(tracemalloc.get_traced_memory()[0])

    return used, sent


def check(bench, used):
    """One record, kept while the stream went on, and nothing of what came later."""
    tracemalloc.stop()
    assert requestcov.flush(10.0)
    (record,) = bench.records()
    assert record.partial == "duration"
    assert bench.lines(record) == ORDER
    assert 50 <= record.duration_ms < 60_000
    assert len(used) > 20
    assert max(used) - used[3] < 50_000


@pytest.mark.parametrize("kind", ["events", "websocket"])
def test_a_stream_is_kept_as_partial_while_it_runs_and_takes_no_more_memory(bench, kind):
    stream = Stream(bench)
    used, sent = watch(bench, stream)
    wrapped = ASGIMiddleware(getattr(stream, kind), **limits(bench))

    async def send(message):
        sent()

    deadline = time.monotonic() + 30
    scope = {"type": "http", "method": "GET"} if kind == "events" else {"type": "websocket"}

    async def main():
        async with asyncio.timeout(deadline - time.monotonic()):
            await wrapped({**scope, "path": "/stream", "headers": []}, None, send)

    asyncio.run(main())
    check(bench, used)
    (record,) = bench.records()
    assert record.status == (200 if kind == "events" else 101)
    assert record.method == ("GET" if kind == "events" else "WEBSOCKET")


def test_a_generator_is_kept_as_partial_while_it_runs_and_takes_no_more_memory(bench):
    stream = Stream(bench)
    used, sent = watch(bench, stream)
    wrapped = WSGIMiddleware(stream.generator, **limits(bench))
    result = wrapped({"REQUEST_METHOD": "GET", "PATH_INFO": "/stream"}, lambda *args: None)
    limit = time.monotonic() + 30
    for _ in result:
        sent()
        assert time.monotonic() < limit
    result.close()
    check(bench, used)


def test_many_streams_at_once_give_their_places_back(bench):
    """Each is cut in its turn; what comes while all places are taken is counted."""
    wrapped = ASGIMiddleware(None, **(limits(bench) | {"max_in_flight": 4}))
    recorder = wrapped._recorder

    async def main():
        ended = asyncio.Event()

        async def app(scope, receive, send):
            bench.shop.order()
            await ended.wait()

        wrapped._call = app
        streams = [
            asyncio.create_task(
                wrapped({"type": "websocket", "path": "/stream", "headers": []}, None, None),
            )
            for _ in range(10)
        ]
        limit = time.monotonic() + 20
        while len(bench.records()) < 4:
            assert time.monotonic() < limit
            await asyncio.sleep(0.005)
        later = asyncio.create_task(wrapped({"type": "websocket", "path": "/", "headers": []}, None, None))
        await asyncio.sleep(0)
        ended.set()
        await asyncio.gather(later, *streams)

    asyncio.run(main())
    until(lambda: not recorder.flight)
    ledger = bench.ledger(recorder)
    assert (ledger.sampled, ledger.stored, ledger.dropped) == (11, 5, {"max_in_flight": 6})
