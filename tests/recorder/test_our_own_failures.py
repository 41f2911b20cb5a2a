"""Whatever fails inside us: the app never sees it, and what was sampled is accounted for."""

from __future__ import annotations

import asyncio
import sys

import pytest

import requestcov
from requestcov import ASGIMiddleware, WSGIMiddleware, routes
from tests.recorder.conftest import ORDER, serve


class Broken:
    """Raises whenever it is called."""

    def __init__(self):
        self.calls = 0

    def __call__(self, *args, **kwargs):
        self.calls += 1
        raise RuntimeError("a defect of ours")


def ask_wsgi(bench, recorder):
    """The body of one request through the WSGI wrapper."""

    def app(environ, start_response):
        start_response("200 OK", [])
        return iter([str(bench.shop.order()).encode()])

    wrapped = WSGIMiddleware(app, recorder.config)
    wrapped._recorder = recorder
    result = wrapped({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *args: None)
    try:
        return b"".join(result)
    finally:
        if hasattr(result, "close"):
            result.close()


def ask_asgi(bench, recorder):
    """The body of one request through the ASGI wrapper."""
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(bench.shop.order()).encode()})

    async def send(message):
        sent.append(message)

    wrapped = ASGIMiddleware(app, recorder.config)
    wrapped._recorder = recorder
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    asyncio.run(wrapped(scope, None, send))
    return sent[-1]["body"]


ask = pytest.mark.parametrize("ask", [ask_wsgi, ask_asgi])

LOST = {
    # What fails → why the request is missing.
    "engine.begin": "begin",
    "engine.end": "finish",
    "sampler.learned": "finish",
    "sampler.failed": "finish",
    "_assembler._collected": "assemble",
}


@ask
@pytest.mark.parametrize("place", LOST)
def test_a_request_that_we_lose_is_counted_under_a_reason(bench, monkeypatch, warnings_logged, ask, place):
    recorder = bench.recorder()
    owner, name = place.split(".")
    broken = Broken()
    monkeypatch.setattr(getattr(recorder, owner), name, broken)
    if name == "learned":
        monkeypatch.setattr(routes, "from_environ", lambda *args, **kwargs: "/route")
        monkeypatch.setattr(routes, "from_scope", lambda *args: "/route")
    if name == "failed":
        monkeypatch.setattr(requestcov.recorder.Recording, "status", property(lambda _: 500, lambda *_: None))
    assert [ask(bench, recorder) for _ in range(3)] == [b"7"] * 3
    assert recorder.flush(10.0)
    assert broken.calls == 3
    monkeypatch.undo()
    assert ask(bench, recorder) == b"7"
    ledger = bench.ledger(recorder)
    assert (ledger.sampled, ledger.stored, ledger.dropped) == (4, 1, {LOST[place]: 3})
    (said,) = warnings_logged()
    assert "a defect of ours" in said


@ask
def test_a_sampler_that_fails_has_sampled_nothing(bench, monkeypatch, warnings_logged, ask):
    recorder = bench.recorder()
    monkeypatch.setattr(recorder.sampler, "decide", Broken())
    assert [ask(bench, recorder) for _ in range(3)] == [b"7"] * 3
    monkeypatch.undo()
    assert ask(bench, recorder) == b"7"
    ledger = bench.ledger(recorder)
    assert (ledger.sampled, ledger.stored) == (1, 1)
    assert len(warnings_logged()) == 1


@ask
@pytest.mark.parametrize("place", ["from", "install_hooks"])
def test_a_route_that_cannot_be_read_costs_no_more_than_the_route(bench, monkeypatch, ask, place):
    recorder = bench.recorder()
    broken = Broken()
    names = ["from_environ", "from_scope"] if place == "from" else [place]
    for name in names:
        monkeypatch.setattr(routes, name, broken)
    assert ask(bench, recorder) == b"7"
    assert broken.calls
    monkeypatch.undo()
    ledger = bench.ledger(recorder)
    assert ledger.sampled == ledger.stored + ledger.dropped.get("begin", 0) == 1


@ask
@pytest.mark.parametrize("name", ["enter", "leave", "mark"])
def test_an_engine_that_fails_in_a_step_leaves_the_answer_alone(bench, monkeypatch, ask, name):
    recorder = bench.recorder()
    monkeypatch.setattr(recorder, "_steps", True)  # also where the engine has nothing to do in one
    working = getattr(recorder.engine, name)
    broken = Broken()

    def fails(*args):
        working(*args)
        broken()

    monkeypatch.setattr(recorder.engine, name, fails)
    assert ask(bench, recorder) == b"7"
    assert broken.calls
    monkeypatch.undo()
    assert ask(bench, recorder) == b"7"
    ledger = bench.ledger(recorder)
    assert (ledger.sampled, ledger.stored) == (2, 2)
    assert bench.lines(bench.records()[-1]) >= ORDER


@ask
def test_a_header_that_cannot_be_read_costs_one_record(bench, ask, monkeypatch):
    """Nothing that a client or a server gives reaches the app as an exception of ours."""
    recorder = bench.recorder()
    begin = recorder.begin
    monkeypatch.setattr(recorder, "begin", lambda method, path, header: begin(method, path, Broken()))
    assert ask(bench, recorder) == b"7"
    monkeypatch.undo()
    ledger = bench.ledger(recorder)
    assert (ledger.sampled, ledger.dropped) == (1, {"begin": 1})


def test_an_exit_in_the_midst_of_our_own_work_passes_and_is_counted(bench, monkeypatch):
    """gunicorn ends a worker that takes too long by SystemExit, wherever it is."""
    recorder = bench.recorder()

    def exits(*args):
        raise SystemExit(1)

    for place in ("begin", "end"):
        monkeypatch.setattr(recorder.engine, place, exits)
        with pytest.raises(SystemExit):
            serve(recorder, bench.shop.order)
        monkeypatch.undo()
    assert bench.ledger(recorder).dropped == {"begin": 1, "finish": 1}


@ask
def test_an_engine_that_cannot_begin_stands_aside_with_one_warning(bench, warnings_logged, ask):
    """Every tool id taken, or a trace function in place: other tools come first, while they are there."""
    recorder = bench.recorder()
    taken = []
    if recorder.engine.name == "monitoring":
        recorder.engine.close()
        for tool in range(6):
            if sys.monitoring.get_tool(tool) is None:
                sys.monitoring.use_tool_id(tool, "another")
                taken.append(tool)
        reason = "no_tool_id"
    else:
        sys.settrace(lambda *args: None)
        reason = "trace_function_taken"
    try:
        assert [ask(bench, recorder) for _ in range(3)] == [b"7"] * 3
    finally:
        sys.settrace(None)
        for tool in taken:
            sys.monitoring.free_tool_id(tool)
    assert ask(bench, recorder) == b"7"
    ledger = bench.ledger(recorder)
    assert (ledger.sampled, ledger.stored, ledger.dropped) == (4, 1, {reason: 3})
    assert bench.lines(bench.records()[0]) >= ORDER
    (said,) = warnings_logged()
    assert requestcov.recorder.WHY[reason] in said


def test_an_exception_type_that_cannot_be_named_costs_one_record(bench):
    class Nameless(type):
        def __getattribute__(cls, name):
            if name in ("__module__", "__qualname__"):
                raise RuntimeError("nameless")
            return super().__getattribute__(name)

    class Failure(Exception, metaclass=Nameless):
        pass

    recorder = bench.recorder()
    recording = recorder.begin("GET", "/", lambda name: None)
    recorder.finish(recording, Failure())
    ledger = bench.ledger(recorder)
    assert ledger.sampled == ledger.stored + ledger.dropped.get("finish", 0) == 1
